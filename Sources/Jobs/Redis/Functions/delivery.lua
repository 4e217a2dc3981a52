-- Claims: which entries a node receives.

-- The state of one call that delivers entries to a node. `out` is the reply to the client: flags (1: failures and
-- crashes follow each value, 2: the node's ready queue or the common one is not empty); the number of cancelled
-- entries that were dropped; the number of entries that were refused; a list of the workspaces that moved to this
-- node, each with the node that has its files (for `join` and `held`: of those whose home is another node, each with
-- that node); then for each run of entries of one stream: suffix, count, and for each entry its ID, its value (and
-- failures:crashes).
local function begin_delivery(P, node)
  local has_tries = exists(P, 'tries')
  return {
    P = P, node = node, run = P .. 'run:' .. node, has_tries = has_tries, has_cancels = exists(P, 'cancel'), count = 0,
    dropped = 0, refused = 0, read = 0, active = {}, moved = {}, out = {has_tries and 1 or 0, 0, 0, {}},
  }
end
local function end_delivery(d)
  if d.read > 0 then redis.call('DECRBY', d.P .. 'depth', d.read) end
  count_active(d.P, d.active)
  if redis.call('EXISTS', ready_key(d.P), ready_key(d.P, d.node)) > 0 then d.out[1] = d.out[1] + 2 end
  d.out[2], d.out[3], d.out[4] = d.dropped, d.refused, d.moved
  if d.refused > 0 then add_count(d.P, 'refused_entries', d.refused) end
  return d.out
end

-- Returns the entries whose job is not cancelled, and removes the others. A job that its node did not cancel in time
-- ends here.
local function drop_cancelled(d, suffix, entries)
  local P, left = d.P, {}
  for _, entry in ipairs(entries) do
    local job = string.sub(value_of(entry), 1, 16)
    local event = redis.call('HGET', P .. 'cancel', job)
    if not event then
      left[#left + 1] = entry
    else
      d.dropped = d.dropped + 1
      drop_entry(P, suffix, entry[1])
      local ws = workspace_of(suffix)
      local record = event ~= '' and get_record(P, ws, job)
      if record then
        set_record(P, ws, job, with_reason(with_state(record, 'x', uint48(now_ms())), 'cancelled: user'))
      end
      if event ~= '' then write_audit(P, ws, {'e', event}) end
      remove_side_records(P, side_records(P), job, 'x')
    end
  end
  return left
end

-- The set of those jobs of a list of job IDs that a node holds.
local function held_among(P, jobs)
  local found = {}
  if #jobs == 0 then return found end
  for n, node in ipairs(redis.call('HMGET', P .. 'holders', unpack(jobs))) do
    if node and redis.call('HEXISTS', P .. 'run:' .. node, jobs[n]) == 1 then found[jobs[n]] = true end
  end
  return found
end

-- Returns the entries of jobs that have not ended and that no node holds, the first of each job, and removes the
-- others. The queue creates no other entry for such a job; another writer added an old entry again, or other bytes
-- under the ID. Such an entry starts nothing and changes no record. The record of an ended job expires, so an old job
-- without one has ended too.
local function refuse_repeated(d, suffix, entries)
  local jobs = {}
  for _, entry in ipairs(entries) do
    local job = string.sub(value_of(entry), 1, 16)
    if #job == 16 then jobs[#jobs + 1] = job end
  end
  local found, absent = ended_among(d.P, workspace_of(suffix), jobs)
  local held, left = held_among(d.P, jobs), {}
  for _, entry in ipairs(entries) do
    local job = string.sub(value_of(entry), 1, 16)
    if found[job] or held[job] or absent[job] and is_expired(d.P, job) then
      d.refused = d.refused + 1
      drop_entry(d.P, suffix, entry[1])
    else
      left[#left + 1] = entry
      if #job == 16 then held[job] = true end
    end
  end
  return left
end

-- Appends an entry to the reply at a position; returns the next position.
local function emit(d, at, id, value)
  local out = d.out
  out[at + 1], out[at + 2] = id, value
  if not d.has_tries then return at + 2 end
  local f, c = tries_of(d.P, string.sub(value, 1, 16))
  out[at + 3] = f .. ':' .. c
  return at + 3
end

-- Records leases for new entries of one stream and appends the entries to the reply.
local function deliver(d, suffix, entries)
  if d.has_cancels then entries = drop_cancelled(d, suffix, entries) end
  entries = refuse_repeated(d, suffix, entries)
  local n = #entries
  if n == 0 then return end
  local held, holders = {}, {}
  local at = #d.out
  d.out[at + 1], d.out[at + 2] = suffix, n
  at = at + 2
  local stretch = suffix .. '|'
  for i = 1, n do
    local id, value = entries[i][1], value_of(entries[i])
    held[2 * i - 1], held[2 * i] = lease_key(value, suffix, id), stretch .. id
    if #value >= 16 then holders[#holders + 1], holders[#holders + 2] = held[2 * i - 1], d.node end
    at = emit(d, at, id, value)
  end
  redis.call('HSET', d.run, unpack(held))
  if #holders > 0 then redis.call('HSET', d.P .. 'holders', unpack(holders)) end
  d.count = d.count + n
  local ws = workspace_of(suffix)
  d.active[ws] = (d.active[ws] or 0) + n
end

-- Reads unread entries. All nodes read as one consumer: the running hashes record which node holds an entry, and a
-- consumer per node would remain in every group after the node is gone.
local function read_group(P, stream, count)
  local reply = redis.pcall('XREADGROUP', 'GROUP', 'workers', 'nodes', 'COUNT', count, 'STREAMS', stream, '>')
  if type(reply) == 'table' and reply.err then
    if not string.find(reply.err, 'NOGROUP', 1, true) then
      -- The key does not hold a stream. It must not block the other streams.
      add_count(P, 'unreadable', 1)
      return {}
    end
    -- From the first entry on: a group that is created again must not skip accepted entries.
    redis.call('XGROUP', 'CREATE', stream, 'workers', '0', 'MKSTREAM')
    reply = redis.call('XREADGROUP', 'GROUP', 'workers', 'nodes', 'COUNT', count, 'STREAMS', stream, '>')
  end
  return reply and reply[1] and reply[1][2] or {}
end

-- Weight, concurrency, rate and period of a workspace, stored as 'weight:concurrency:rate:period'; 0 for no limit.
local function limits_of(P, ws)
  local text = redis.call('HGET', P .. 'limits', ws)
  if not text then return 1, 0, 0, 0 end
  local w, c, r, p = string.match(text, '^(%d+):(%d+):(%d+):(%d+)$')
  return tonumber(w), tonumber(c), tonumber(r), tonumber(p)
end

-- The credit of a workspace's rate. A job costs one period (in ms); the bucket holds the credit for `rate` jobs and
-- fills by `rate` per millisecond, so that all numbers are exact integers.
local function rate_credit(P, ws, rate, period, now)
  local credit, at = string.match(redis.call('HGET', P .. 'rate', ws) or '', '^(%d+):(%d+)$')
  if not credit then return period * rate end
  return math.min(period * rate, tonumber(credit) + math.max(0, now - tonumber(at)) * rate)
end

-- Removes a workspace from its ready queue until a time.
local function park(P, queue, ws, time)
  redis.call('ZREM', queue, ws)
  redis.call('HDEL', P .. 'credit', ws)
  redis.call('ZADD', P .. 'parked', string.format('%d', time), ws)
end

local function unpark_due(P, now)
  for _, ws in ipairs(redis.call('ZRANGEBYSCORE', P .. 'parked', '-inf', now, 'LIMIT', 0, 256)) do unpark(P, ws) end
end

-- The audit event of a move; AuditEvent writes the same form.
local function moved_event(ws, from, to, now)
  return '{"v":1,"kind":"workspace.moved","time":' .. string.format('%d', now) .. ',"workspace":' .. cjson.encode(ws) ..
    ',"actor":' .. cjson.encode('node:' .. to) ..
    ',"action":"","status":"moved","rule":"home","duration_ms":0,"error_reason":' ..
    cjson.encode('its files are on node ' .. from) .. ',"node":' .. cjson.encode(to) .. '}'
end

-- Makes this node the home of a workspace of the common queue. Returns the ready queue that the workspace is in then.
local function adopt(d, c, ws, turn, files)
  local P = d.P
  redis.call('HSET', P .. 'homes', ws, d.node)
  redis.call('ZREM', ready_key(P), ws)
  redis.call('ZADD', c.own, turn, ws)
  if files and files ~= d.node then
    d.moved[#d.moved + 1], d.moved[#d.moved + 2] = ws, files
    write_audit(P, ws, {'e', moved_event(ws, files, d.node, c.now)})
  end
  return c.own
end

-- The turn of one workspace of a ready queue, by deficit round robin. A turn is worth the weight times the quantum.
-- When this node has no free slot left, the rest of the turn is stored as credit for the next claim. Returns the ready
-- queue when the workspace keeps its place at the front, otherwise nil.
local function serve(d, c, ws, turn, queue)
  local P = d.P
  if c.has_quarantine and redis.call('HEXISTS', P .. 'quarantine', ws) == 1 then
    return park(P, queue, ws, NO_END)
  end
  local home, files
  if c.own then
    home, files = home_of(P, ws)
    if ready_key(P, home) ~= queue then
      -- An earlier build added it to the common queue, or another writer to that of this node.
      redis.call('ZREM', queue, ws)
      return add_ready(P, ws, home, turn)
    end
  end
  local weight, concurrency, rate, period = 1, 0, 0, 0
  if c.has_limits then weight, concurrency, rate, period = limits_of(P, ws) end
  local credit = c.has_credit and redis.call('HGET', P .. 'credit', ws)
  local budget = tonumber(credit) or c.quantum * weight
  if c.is_alone then budget = c.most end
  local want = math.min(c.most - d.count, budget, c.share - (c.held[ws] or 0))
  -- At its share of this node, a workspace keeps its place and takes no slot of another workspace.
  if want <= 0 then return queue end
  local spare
  if concurrency > 0 then
    local free = concurrency - (tonumber(redis.call('HGET', P .. 'active', ws)) or 0) - (d.active[ws] or 0)
    if free <= 0 then return park(P, queue, ws, NO_END) end
    want = math.min(want, free)
  end
  if rate > 0 then
    spare = rate_credit(P, ws, rate, period, c.now)
    if spare < period then return park(P, queue, ws, c.now + math.ceil((period - spare) / rate)) end
    want = math.min(want, math.floor(spare / period))
  end
  if c.own and not home then queue = adopt(d, c, ws, turn, files) end

  local levels = redis.call('HGET', P .. 'levels', ws) or ''
  local left, first_count, served = {}, d.count, 0
  local function take(level, count)
    local suffix = ws .. ':s:' .. level
    local entries = read_group(P, stream_of(P, suffix), count)
    d.read = d.read + #entries
    served = served + #entries
    left[level] = #entries == count
    deliver(d, suffix, entries)
  end
  -- The most urgent level first. After eight turns in which a level was passed over, each lower level gets one job
  -- first, so that none starves.
  if c.has_passed and #levels > 1 and tonumber(redis.call('HGET', P .. 'passed', ws) or 0) >= 8 then
    for i = 2, #levels do
      if served < want then take(string.sub(levels, i, i), 1) end
    end
    redis.call('HDEL', P .. 'passed', ws)
  end
  local was_passed = false
  for i = 1, #levels do
    local level = string.sub(levels, i, i)
    if served < want and left[level] ~= false then
      take(level, want - served)
    elseif left[level] == nil then
      left[level] = true
      was_passed = true
    end
  end
  if was_passed then
    redis.call('HINCRBY', P .. 'passed', ws, 1)
    c.has_passed = true
  end
  local taken = d.count - first_count
  c.held[ws] = (c.held[ws] or 0) + taken
  if rate > 0 then redis.call('HSET', P .. 'rate', ws, string.format('%d:%d', spare - taken * period, c.now)) end

  local rest = ''
  for i = 1, #levels do
    local level = string.sub(levels, i, i)
    if left[level] then rest = rest .. level end
  end
  if rest == '' then
    redis.call('HDEL', P .. 'levels', ws)
    redis.call('ZREM', queue, ws)
    if credit then redis.call('HDEL', P .. 'credit', ws) end
    if c.has_passed then redis.call('HDEL', P .. 'passed', ws) end
    return nil
  end
  if rest ~= levels then redis.call('HSET', P .. 'levels', ws, rest) end
  if not c.is_alone and taken < budget and (d.count >= c.most or c.held[ws] >= c.share) then
    redis.call('HSET', P .. 'credit', ws, budget - taken)
    c.has_credit = true
    return queue
  end
  if credit then redis.call('HDEL', P .. 'credit', ws) end
  redis.call('ZADD', queue, redis.call('INCR', P .. 'turn'), ws)
  return nil
end

-- The next workspaces of the node's ready queue and the common one, by turn, after those that keep their places: a list
-- of workspace, turn and queue. It is empty when there are no more.
local PAGE = 16
local function next_workspaces(c)
  local common, own, out = {}, {}, {}
  if c.has_common then
    local from = c.kept[c.common] or 0
    common = redis.call('ZRANGE', c.common, from, from + PAGE - 1, 'WITHSCORES')
  end
  if c.own then
    local from = c.kept[c.own] or 0
    own = redis.call('ZRANGE', c.own, from, from + PAGE - 1, 'WITHSCORES')
  end
  local i, j = 1, 1
  while i < #common or j < #own do
    -- What follows a full page may come before the rest of the other one.
    if i > #common and #common == 2 * PAGE or j > #own and #own == 2 * PAGE then break end
    if j > #own or i < #common and tonumber(common[i + 1]) < tonumber(own[j + 1]) then
      out[#out + 1] = {common[i], common[i + 1], c.common}
      i = i + 2
    else
      out[#out + 1] = {own[j], own[j + 1], c.own}
      j = j + 2
    end
  end
  return out
end

-- Claims entries for a node. Arguments: node, incarnation, maximum count, quantum, maximum per workspace on this node,
-- number of the claim, 1 when workspaces have homes, otherwise 0; then pairs of a workspace and the count that this
-- node holds of it. Returns deliveries, see begin_delivery.
register('claim', DRAIN, function(keys, args)
  local P = prefix(keys)
  local refusal = not_current(P, args[1], args[2])
  refusal = refusal or refused_files(P, args[7] == '1')
  if refusal then return refusal end
  if tonumber(redis.call('HGET', P .. 'node:' .. args[1], 'fence') or 0) > tonumber(args[6]) then
    return redis.error_reply('ORCLATE the node abandoned this claim')
  end
  local d = begin_delivery(P, args[1])
  local c = {
    now = now_ms(), most = tonumber(args[3]), quantum = tonumber(args[4]), share = tonumber(args[5]), held = {},
    has_limits = exists(P, 'limits'), has_credit = exists(P, 'credit'),
    has_passed = exists(P, 'passed'), has_quarantine = exists(P, 'quarantine'),
    common = ready_key(P), own = args[7] == '1' and ready_key(P, args[1]) or nil,
  }
  for i = 8, #args, 2 do c.held[args[i]] = tonumber(args[i + 1]) end
  if exists(P, 'parked') then unpark_due(P, c.now) end
  -- What this claim moves to the common queue waits for the next one.
  local homeless = redis.call('ZCARD', c.common)
  c.has_common = homeless > 0
  c.is_alone = homeless + (c.own and redis.call('ZCARD', c.own) or 0) == 1
  -- Round by round, until the node is full or a whole round delivered nothing. Workspaces that keep their place stay at
  -- the front of their ready queue, and the round continues after them.
  local before
  repeat
    before = d.read
    local seen, is_over = {}, false
    c.kept = {}
    repeat
      local page = next_workspaces(c)
      if #page == 0 then is_over = true end
      for _, place in ipairs(page) do
        local ws = place[1]
        if d.count >= c.most or seen[ws] then
          is_over = true
          break
        end
        seen[ws] = true
        local queue = serve(d, c, ws, place[2], place[3])
        if queue then c.kept[queue] = (c.kept[queue] or 0) + 1 end
      end
    until is_over
  until d.count >= c.most or d.read == before
  return end_delivery(d)
end)
