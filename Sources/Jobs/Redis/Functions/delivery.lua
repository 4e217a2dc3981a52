-- Deliveries under way: what one call hands to a node, and what it has to note at its end.
-- `out` is what the client reads: 1 when tries follow each value, and 2 more when workspaces stand in line yet; how
-- many cancelled entries were dropped; how many entries were refused; then
-- for each stretch of a stream: suffix, count, and entry id, value (and tries) each. The id of an entry whose
-- lease has a key of its own begins with '!'.
local function begin_delivery(P, node)
  local has_tries = exists(P, 'tries')
  return {
    P = P, run = P .. 'run:' .. node, has_tries = has_tries, has_cancels = exists(P, 'cancel'), count = 0,
    dropped = 0, refused = 0, read = 0, active = {}, out = {has_tries and 1 or 0, 0, 0},
  }
end
local function end_delivery(d)
  if d.read > 0 then redis.call('DECRBY', d.P .. 'depth', d.read) end
  count_active(d.P, d.active)
  if redis.call('EXISTS', d.P .. 'ready') == 1 then d.out[1] = d.out[1] + 2 end
  d.out[2], d.out[3] = d.dropped, d.refused
  if d.refused > 0 then redis.call('HINCRBY', d.P .. 'counts', 'refused_entries', d.refused) end
  return d.out
end

-- The entries that nobody has cancelled. Of the others the entry goes; one whose cancellation could not be
-- told to its node in time ends here.
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
      if record then set_record(P, ws, job, with_reason(with_state(record, 'x', uint48(now_ms())), 'cancelled: user')) end
      if event ~= '' then redis.call('XADD', P .. 'audit', '*', 'e', event) end
      ended(P, keepsakes(P), job, 'x')
    end
  end
  return left
end

-- The entries of jobs that have not ended. The queue itself makes no others: somebody put an old entry back, or junk under
-- the id of an ended job. Such an entry runs nothing and changes no record.
local function refuse_ended(d, suffix, entries)
  local jobs = {}
  for _, entry in ipairs(entries) do
    local job = string.sub(value_of(entry), 1, 16)
    if #job == 16 then jobs[#jobs + 1] = job end
  end
  local found = ended_among(d.P, workspace_of(suffix), jobs)
  if next(found) == nil then return entries end
  local left = {}
  for _, entry in ipairs(entries) do
    if found[string.sub(value_of(entry), 1, 16)] then
      d.refused = d.refused + 1
      drop_entry(d.P, suffix, entry[1])
    else
      left[#left + 1] = entry
    end
  end
  return left
end

local function emit(d, at, lease, id, value)
  local out = d.out
  -- A lease's key is longer than the job's id when the entry has none, or repeats a held job.
  out[at + 1], out[at + 2] = #lease ~= 16 and string.find(lease, '#', 17, true) and '!' .. id or id, value
  if not d.has_tries then return at + 2 end
  local f, c = tries_of(d.P, string.sub(value, 1, 16))
  out[at + 3] = f .. ':' .. c
  return at + 3
end

-- Takes leases for new entries of one stream.
local function deliver(d, suffix, entries)
  if d.has_cancels then entries = drop_cancelled(d, suffix, entries) end
  entries = refuse_ended(d, suffix, entries)
  local n = #entries
  if n == 0 then return end
  local leases, held, values = {}, {}, {}
  for i = 1, n do
    values[i] = value_of(entries[i])
    leases[i] = lease_key(values[i], suffix, entries[i][1])
  end
  local known, seen = redis.call('HMGET', d.run, unpack(leases)), {}
  local at = #d.out
  d.out[at + 1], d.out[at + 2] = suffix, n
  at = at + 2
  local stretch = suffix .. '|'
  for i = 1, n do
    local lease, id, value = leases[i], entries[i][1], values[i]
    if known[i] or seen[lease] then lease = lease_key(value, suffix, id, true) end
    seen[lease] = true
    held[2 * i - 1], held[2 * i] = lease, stretch .. id
    at = emit(d, at, lease, id, value)
  end
  redis.call('HSET', d.run, unpack(held))
  d.count = d.count + n
  local ws = workspace_of(suffix)
  d.active[ws] = (d.active[ws] or 0) + n
end

-- All nodes read as one consumer: whose an entry is, its node's running hash says, and a consumer for each node
-- would stay in every group when the node is gone.
local function read_group(P, stream, count)
  local reply = redis.pcall('XREADGROUP', 'GROUP', 'workers', 'nodes', 'COUNT', count, 'STREAMS', stream, '>')
  if type(reply) == 'table' and reply.err then
    if not string.find(reply.err, 'NOGROUP', 1, true) then
      -- Something that is no stream lies there. It must not stop the others.
      redis.call('HINCRBY', P .. 'counts', 'unreadable', 1)
      return {}
    end
    -- From the first entry on: a group that is made anew must not skip what was accepted.
    redis.call('XGROUP', 'CREATE', stream, 'workers', '0', 'MKSTREAM')
    reply = redis.call('XREADGROUP', 'GROUP', 'workers', 'nodes', 'COUNT', count, 'STREAMS', stream, '>')
  end
  return reply and reply[1] and reply[1][2] or {}
end

-- 'weight:concurrency:rate:period', 0 for no limit
local function limits_of(P, ws)
  local text = redis.call('HGET', P .. 'limits', ws)
  if not text then return 1, 0, 0, 0 end
  local w, c, r, p = string.match(text, '^(%d+):(%d+):(%d+):(%d+)$')
  return tonumber(w), tonumber(c), tonumber(r), tonumber(p)
end

-- Jobs that the workspace's rate lets start now. The bucket holds a period's worth and fills evenly; it is
-- kept in ms of credit, so that it is exact.
local function rate_credit(P, ws, rate, period, now)
  local credit, at = string.match(redis.call('HGET', P .. 'rate', ws) or '', '^(%d+):(%d+)$')
  if not credit then return period * rate end
  return math.min(period * rate, tonumber(credit) + math.max(0, now - tonumber(at)) * rate)
end

local function park(P, ws, time)
  redis.call('ZREM', P .. 'ready', ws)
  redis.call('HDEL', P .. 'credit', ws)
  redis.call('ZADD', P .. 'parked', string.format('%d', time), ws)
end

local function unpark_due(P, now)
  for _, ws in ipairs(redis.call('ZRANGEBYSCORE', P .. 'parked', '-inf', now, 'LIMIT', 0, 256)) do unpark(P, ws) end
end

-- A workspace's turn: deficit round robin. Each turn is worth its weight times the quantum; what a node without
-- free slots leaves of it the next claim goes on with. Answers whether the workspace kept its place.
local function serve(d, c, ws)
  local P = d.P
  if c.has_quarantine and redis.call('HEXISTS', P .. 'quarantine', ws) == 1 then
    park(P, ws, FOREVER)
    return false
  end
  local weight, concurrency, rate, period = 1, 0, 0, 0
  if c.has_limits then weight, concurrency, rate, period = limits_of(P, ws) end
  local credit = c.has_credit and redis.call('HGET', P .. 'credit', ws)
  local budget = tonumber(credit) or c.quantum * weight
  if c.is_alone then budget = c.most end
  local want = math.min(c.most - d.count, budget, c.share - (c.held[ws] or 0))
  -- It has this node's share: it keeps its place for the others' nodes, and takes no slot of another workspace.
  if want <= 0 then return true end
  local spare
  if concurrency > 0 then
    local room = concurrency - (tonumber(redis.call('HGET', P .. 'active', ws)) or 0) - (d.active[ws] or 0)
    if room <= 0 then
      park(P, ws, FOREVER)
      return false
    end
    want = math.min(want, room)
  end
  if rate > 0 then
    spare = rate_credit(P, ws, rate, period, c.now)
    if spare < period then
      park(P, ws, c.now + math.ceil((period - spare) / rate))
      return false
    end
    want = math.min(want, math.floor(spare / period))
  end

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
  -- The most urgent level first. One that was passed over in eight turns gets one job first, so that none is
  -- forgotten.
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
    redis.call('ZREM', P .. 'ready', ws)
    if credit then redis.call('HDEL', P .. 'credit', ws) end
    if c.has_passed then redis.call('HDEL', P .. 'passed', ws) end
    return false
  end
  if rest ~= levels then redis.call('HSET', P .. 'levels', ws, rest) end
  if not c.is_alone and taken < budget and (d.count >= c.most or c.held[ws] >= c.share) then
    redis.call('HSET', P .. 'credit', ws, budget - taken)
    c.has_credit = true
    return true
  end
  if credit then redis.call('HDEL', P .. 'credit', ws) end
  redis.call('ZADD', P .. 'ready', redis.call('INCR', P .. 'turn'), ws)
  return false
end

-- node, incarnation, most, quantum of a turn, most of one workspace on this node, the claim's number, then pairs
-- of a workspace and what this node holds of it -> deliveries, workspaces in turn
register('claim', DRAIN, function(keys, args)
  local P = prefix(keys)
  local refusal = not_current(P, args[1], args[2])
  if refusal then return refusal end
  if tonumber(redis.call('HGET', P .. 'node:' .. args[1], 'fence') or 0) > tonumber(args[6]) then
    return redis.error_reply('ORCLATE the node has given this claim up')
  end
  local d = begin_delivery(P, args[1])
  local c = {
    now = now_ms(), most = tonumber(args[3]), quantum = tonumber(args[4]), share = tonumber(args[5]), held = {},
    has_limits = exists(P, 'limits'), has_credit = exists(P, 'credit'),
    has_passed = exists(P, 'passed'), has_quarantine = exists(P, 'quarantine'),
  }
  for i = 7, #args, 2 do c.held[args[i]] = tonumber(args[i + 1]) end
  if exists(P, 'parked') then unpark_due(P, c.now) end
  c.is_alone = redis.call('ZCARD', P .. 'ready') == 1
  -- Round by round, until there is no room or a whole round brought nothing. Who keeps its place stands at the
  -- line's front, and the round goes on behind it.
  local before
  repeat
    before = d.read
    local kept, seen, is_over = 0, {}, false
    repeat
      local line = redis.call('ZRANGE', P .. 'ready', kept, kept + 15)
      if #line == 0 then is_over = true end
      for _, ws in ipairs(line) do
        if d.count >= c.most or seen[ws] then
          is_over = true
          break
        end
        seen[ws] = true
        if serve(d, c, ws) then kept = kept + 1 end
      end
    until is_over
  until d.count >= c.most or d.read == before
  return end_delivery(d)
end)

-- What the running hash holds goes into `out`, under the leases that it has; those of entries that are gone, or
-- cancelled, go. For a node that joins, what a quarantined workspace has goes back in line.
local function redeliver(d, counts_crash, is_join)
  local P = d.P
  local has_quarantine = is_join and exists(P, 'quarantine')
  for _, held in ipairs(leases_of(d.run)) do
    local lease, suffix, id = held[1], split_token(held[2])
    local entries = suffix and redis.call('XRANGE', stream_of(P, suffix), id, id) or {}
    if #entries == 1 and d.has_cancels then entries = drop_cancelled(d, suffix, entries) end
    if #entries == 1 then
      local value, ws = value_of(entries[1]), workspace_of(suffix)
      if counts_crash and #value >= 16 then
        local job = string.sub(value, 1, 16)
        local f, c = tries_of(P, job)
        redis.call('HSET', P .. 'tries', job, f .. ':' .. (c + 1))
      end
      if has_quarantine and redis.call('HEXISTS', P .. 'quarantine', ws) == 1 then
        redis.call('HDEL', d.run, lease)
        d.active[ws] = (d.active[ws] or 0) - 1
        drop_entry(P, suffix, id)
        add_entry(P, suffix, value)
        mark_level_ready(P, ws, level_of(suffix))
      else
        local at = #d.out
        d.out[at + 1], d.out[at + 2] = suffix, 1
        emit(d, at + 2, lease, id, value)
      end
    else
      redis.call('HDEL', d.run, lease)
      local ws = suffix and workspace_of(suffix)
      if ws then d.active[ws] = (d.active[ws] or 0) - 1 end
    end
  end
end

-- node, incarnation, owner, lease -> deliveries that an earlier life of this node held
register('join', DRAIN, function(keys, args)
  local P = prefix(keys)
  local node, inc, owner, lease = args[1], args[2], args[3], tonumber(args[4])
  local now = now_ms()
  local before = redis.call('HMGET', P .. 'node:' .. node, 'owner', 'inc')
  local expiry = tonumber(redis.call('ZSCORE', P .. 'nodes', node) or 0)
  if before[1] and before[1] ~= owner and expiry > now then
    return redis.error_reply('ORCBUSY another machine runs a node of this name')
  end
  -- Incarnations rise: a join of an earlier life that comes late must not replace the later.
  if before[2] and before[2] > inc and expiry > now then
    return redis.error_reply('ORCSTALE this node was replaced by a newer incarnation')
  end
  redis.call('HSET', P .. 'node:' .. node, 'inc', inc, 'owner', owner)
  if before[2] ~= inc then redis.call('HDEL', P .. 'node:' .. node, 'fence') end
  redis.call('ZADD', P .. 'nodes', string.format('%d', now + lease), node)
  redis.call('HSET', P .. 'run:' .. node, SENTINEL, SENTINEL_VALUE)
  local d = begin_delivery(P, node)
  d.has_tries = true
  d.out[1] = 1
  -- A join that is sent again, because its answer was lost, is no second death.
  redeliver(d, before[2] ~= inc, true)
  return end_delivery(d)
end)

-- What this incarnation holds, so that a claim whose answer was lost loses nothing. A claim of a lower number that
-- is still on its way is refused from now on: nobody would run what it takes.
-- node, incarnation, number of the next claim or 0 -> deliveries
register('held', DRAIN, function(keys, args)
  local P = prefix(keys)
  local refusal = not_current(P, args[1], args[2])
  if refusal then return refusal end
  if args[3] ~= '0' then redis.call('HSET', P .. 'node:' .. args[1], 'fence', args[3]) end
  local d = begin_delivery(P, args[1])
  -- What was cancelled meanwhile its node is told; it stays held until then.
  d.has_cancels = false
  redeliver(d, false)
  return end_delivery(d)
end)

-- node, incarnation, lease -> names of nodes whose lease is over, jobs of this node that are to be cancelled
-- (it was told; should it not have heard, it does now), how many leases it has
register('renew', DRAIN, function(keys, args)
  local P = prefix(keys)
  local refusal = not_current(P, args[1], args[2])
  if refusal then return refusal end
  local now = now_ms()
  redis.call('ZADD', P .. 'nodes', string.format('%d', now + tonumber(args[3])), args[1])
  local cancelled = {}
  for _, job in ipairs(redis.call('SMEMBERS', P .. 'cancelling')) do
    if redis.call('HEXISTS', P .. 'run:' .. args[1], job) == 1 then cancelled[#cancelled + 1] = job end
  end
  return {redis.call('ZRANGEBYSCORE', P .. 'nodes', '-inf', '(' .. string.format('%d', now), 'LIMIT', 0, 16), cancelled,
    held_count(P .. 'run:' .. args[1])}
end)

-- Puts what a dead node held back in line, at most `most` entries a call.
-- dead node, most -> how many were put back
register('rescue', DRAIN, function(keys, args)
  local P = prefix(keys)
  local dead, most = args[1], tonumber(args[2])
  local expiry = tonumber(redis.call('ZSCORE', P .. 'nodes', dead) or 0)
  if expiry == 0 or expiry > now_ms() then return 0 end
  local run = P .. 'run:' .. dead
  local moved, active = 0, {}
  local held = leases_of(run)
  for i = 1, math.min(#held, most) do
    local lease, suffix, id = held[i][1], split_token(held[i][2])
    local entries = suffix and redis.call('XRANGE', stream_of(P, suffix), id, id) or {}
    redis.call('HDEL', run, lease)
    if suffix then active[workspace_of(suffix)] = (active[workspace_of(suffix)] or 0) - 1 end
    if #entries == 1 then
      drop_entry(P, suffix, id)
      local value = value_of(entries[1])
      add_entry(P, suffix, value)
      if #value >= 16 then
        local job = string.sub(value, 1, 16)
        local f, c = tries_of(P, job)
        redis.call('HSET', P .. 'tries', job, f .. ':' .. (c + 1))
      end
      mark_level_ready(P, workspace_of(suffix), level_of(suffix))
      moved = moved + 1
    end
  end
  count_active(P, active)
  if #held <= most then
    redis.call('ZREM', P .. 'nodes', dead)
    redis.call('DEL', P .. 'node:' .. dead, run)
  end
  return moved
end)

-- Leaves the line of nodes at the end of a drain; nothing may be held any more.
register('leave', DRAIN, function(keys, args)
  local P = prefix(keys)
  if not_current(P, args[1], args[2]) then return 0 end
  local run = P .. 'run:' .. args[1]
  if held_count(run) > 0 then return 0 end
  redis.call('ZREM', P .. 'nodes', args[1])
  redis.call('DEL', P .. 'node:' .. args[1], run)
  return 1
end)

-- The clock stands earlier than it did: another machine's after a fail-over, or somebody set it. What was noted by
-- the old one would last too long: leases, and the waits and buckets of rates. Jobs keep the times they have.
local function set_clock_back(P, now, lease)
  for _, node in ipairs(redis.call('ZRANGEBYSCORE', P .. 'nodes', '(' .. string.format('%d', now + lease), '+inf')) do
    redis.call('ZADD', P .. 'nodes', string.format('%d', now + lease), node)
  end
  redis.call('DEL', P .. 'rate')
  local last = string.format('%d', FOREVER)
  for _, ws in ipairs(redis.call('ZRANGEBYSCORE', P .. 'parked', '-inf', '(' .. last)) do unpark(P, ws) end
end

-- What waits or runs keeps its record for however long: the buckets from that of each line's oldest entry on, and
-- those of what runs. Now and then, for a bucket lives on for longer than that.
local KEEP_MS = 300000
local KEPT_BUCKETS = 5000
local KEPT_A_CALL = 10000
-- Answers the workspace to go on with, '' when all were looked at: no call may take long.
local function keep_records(P, now, life, first)
  local seen, names, newest, count = {}, redis.call('HKEYS', P .. 'levels'), math.floor(now / BUCKET_MS), 0
  table.sort(names)
  local function keep(ws, number)
    local key = P .. 'w:' .. ws .. ':r:' .. string.format('%d', number)
    if seen[key] then return end
    seen[key] = true
    count = count + 1
    redis.call('PEXPIRE', key, life, 'GT')
  end
  for _, node in ipairs(redis.call('ZRANGE', P .. 'nodes', 0, -1)) do
    for _, held in ipairs(leases_of(P .. 'run:' .. node)) do
      local job, suffix = job_of(held[1]), split_token(held[2])
      if job ~= '' and suffix then keep(workspace_of(suffix), math.floor(millis(job) / BUCKET_MS)) end
    end
  end
  for _, ws in ipairs(names) do
    if ws >= first then
      if count >= KEPT_A_CALL then return ws end
      count = count + 3
      local oldest = newest + 1
      for level = 1, 3 do
        local reply = redis.pcall('XRANGE', stream_of(P, ws .. ':s:' .. level), '-', '+', 'COUNT', 1)
        local value = not reply.err and reply[1] and value_of(reply[1]) or ''
        if #value >= 16 then oldest = math.min(oldest, math.floor(millis(value) / BUCKET_MS)) end
      end
      for number = math.max(oldest, newest - KEPT_BUCKETS), newest do keep(ws, number) end
    end
  end
  return ''
end

-- Puts jobs whose time has come in line, and workspaces whose rate lets them go on. most, lease, retention
-- -> jobs moved
register('due', DRAIN, function(keys, args)
  local P = prefix(keys)
  local now = now_ms()
  local before = tonumber(redis.call('GET', P .. 'time') or 0)
  -- A little back is what every clock does that is kept right.
  if now < before - 1000 then set_clock_back(P, now, tonumber(args[2])) end
  redis.call('SET', P .. 'time', string.format('%d', now))
  if exists(P, 'parked') then unpark_due(P, now) end
  -- When it was begun last, and where it goes on: 'ms:workspace'.
  local kept, rest = string.match(redis.call('GET', P .. 'kept') or '', '^(%d+):(.*)$')
  kept, rest = tonumber(kept or 0), rest or ''
  if rest ~= '' or now - kept >= KEEP_MS or now < kept then
    if rest == '' then kept = now end
    redis.call('SET', P .. 'retention', args[3])
    rest = keep_records(P, now, tonumber(args[3]) + BUCKET_MS, rest)
    redis.call('SET', P .. 'kept', string.format('%d', kept) .. ':' .. rest)
  end
  local due = redis.call('ZRANGEBYSCORE', P .. 'due', '-inf', now, 'LIMIT', 0, tonumber(args[1]))
  for _, member in ipairs(due) do
    local suffix, value = string.match(member, '^([^|]+:s:[123])|(.*)$')
    redis.call('ZREM', P .. 'due', member)
    if not suffix or #value < 16 then
      -- Nothing of ours. It must not stop the others.
      redis.call('HINCRBY', P .. 'counts', 'unreadable', 1)
    else
      local ws, job = workspace_of(suffix), string.sub(value, 1, 16)
      add_entry(P, suffix, value)
      count_delayed(P, ws, -1)
      local record = get_record(P, ws, job)
      if record and (state_of(record) == 's' or state_of(record) == 'r') then
        set_record(P, ws, job, 'a' .. string.sub(record, 2))
      end
      mark_level_ready(P, ws, level_of(suffix))
    end
  end
  return #due
end)
