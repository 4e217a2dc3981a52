-- Comparing what is stored: finds waiting jobs whose entries Redis lost, because a stream was deleted or trimmed, and
-- delayed jobs whose members of the set 'due' it lost.

-- Unread entries and members of 'due' are counted every COMPARE_MS. When there are fewer than the counters say, or when
-- an entry that a node held is gone, all workspaces are searched, a part at a time: 'records' collects the waiting and
-- delayed jobs of a workspace from its records, 'entries' takes out those that have an entry, 'due' those that have a
-- member, 'found' returns the rest. The state is in P .. 'compare', the collected jobs in P .. 'w:WS:c'. `add_entry`
-- takes out jobs that get an entry meanwhile. A job that becomes delayed meanwhile had an entry or has a member when
-- its turn comes, because members are searched after entries.
local COMPARE_MS = 30000
local COMPARED_A_CALL = 1000
-- A node that takes the steps is left alone for so long; another one goes on when it stops.
local STEPPER_MS = 5000
local TRIMMED_A_CALL = 1000
-- Entries and members of 'due' hold params of up to 64 KiB.
local ENTRIES_A_CALL = 200
local SCANS_A_CALL = 10
-- Jobs in these states wait for something that Redis stores apart from their record.
local WAITING = {a = true, s = true, r = true}

-- Entries that no node has read, over all streams. Entries that were trimmed after they were read count as read, which
-- makes this too small until their nodes have acknowledged them.
local function unread_count(P)
  local sum, all = 0, redis.call('HGETALL', P .. 'levels')
  for i = 1, #all, 2 do
    for level in string.gmatch(all[i + 1], '.') do
      local stream = stream_of(P, all[i] .. ':s:' .. level)
      local length = redis.pcall('XLEN', stream)
      if type(length) == 'number' and length > 0 then
        local pending = redis.pcall('XPENDING', stream, 'workers')
        sum = sum + math.max(0, length - (pending.err and 0 or pending[1]))
      end
    end
  end
  return sum
end

-- Entries that the audit trails ever had: it only becomes smaller when Redis was emptied or went back.
local function audit_count(P) return tonumber(redis.call('HGET', P .. 'counts', 'audit') or 0) end

-- Members of 'due' that the counters of delayed jobs miss.
local function due_gap(P)
  local expected = 0
  for _, count in ipairs(redis.call('HVALS', P .. 'delayed')) do expected = expected + (tonumber(count) or 0) end
  return math.max(0, expected - redis.call('ZCARD', P .. 'due'))
end

local function begin_workspace(P, after, now)
  local first = after == '' and '-' or '(' .. after
  local next_one = redis.call('ZRANGEBYLEX', P .. 'workspaces', first, '+', 'LIMIT', 0, 1)[1]
  if not next_one then
    redis.call('HDEL', P .. 'compare', 'phase')
    return
  end
  local newest = math.floor(now / BUCKET_MS) + 1
  redis.call('DEL', P .. 'w:' .. next_one .. ':c')
  redis.call('HSET', P .. 'compare', 'phase', 'records', 'ws', next_one, 'bucket', newest,
    'oldest', math.max(0, newest - KEPT_BUCKETS), 'cursor', '0', 'seen', '0')
end

-- The newest bucket that exists, from `bucket` down to `oldest`, or less than that, and how many were looked at.
local function next_bucket(P, ws, bucket, oldest)
  local looked = 0
  while bucket >= oldest do
    local keys = {}
    for number = bucket, math.max(oldest, bucket - 99), -1 do
      keys[#keys + 1] = P .. 'w:' .. ws .. ':r:' .. string.format('%d', number)
    end
    looked = looked + 1
    if redis.call('EXISTS', unpack(keys)) > 0 then
      for n, key in ipairs(keys) do
        if redis.call('EXISTS', key) == 1 then return bucket - n + 1, looked end
      end
    end
    bucket = bucket - #keys
  end
  return bucket, looked
end

-- Collects waiting and delayed jobs from the records, newest bucket first. A workspace without any record is forgotten.
-- Clients may have written anything into a bucket, so nothing is taken for granted.
local function collect_waiting(P, ws, state)
  local bucket, oldest, cursor, seen = tonumber(state.bucket), tonumber(state.oldest), state.cursor, state.seen
  local spent, candidates = 0, P .. 'w:' .. ws .. ':c'
  while spent < COMPARED_A_CALL and bucket >= oldest do
    if cursor == '0' then
      local looked
      bucket, looked = next_bucket(P, ws, bucket, oldest)
      spent = spent + looked
    end
    if bucket >= oldest then
      seen = '1'
      local key = P .. 'w:' .. ws .. ':r:' .. string.format('%d', bucket)
      local reply = redis.pcall('HSCAN', key, cursor, 'COUNT', 100)
      if reply.err then reply = {'0', {}} end
      cursor = reply[1]
      local fields, waiting = reply[2], {}
      for i = 1, #fields, 2 do
        if #fields[i] == 16 and WAITING[state_of(fields[i + 1])] then waiting[#waiting + 1] = fields[i] end
      end
      if #waiting > 0 then
        redis.call('SADD', candidates, unpack(waiting))
        redis.call('PEXPIRE', candidates, 3600000)
      end
      spent = spent + 1 + #fields / 2
      if cursor == '0' then bucket = bucket - 1 end
    end
  end
  if bucket >= oldest then
    redis.call('HSET', P .. 'compare', 'bucket', bucket, 'cursor', cursor, 'seen', seen)
  else
    if seen == '0' then redis.call('ZREM', P .. 'workspaces', ws) end
    redis.call('HSET', P .. 'compare', 'phase', 'entries', 'level', 1, 'pos', '-')
  end
end

-- Takes out the collected jobs that have an entry.
local function take_out(P, ws, state)
  local level, pos, candidates = tonumber(state.level), state.pos, P .. 'w:' .. ws .. ':c'
  if not exists(P, 'w:' .. ws .. ':c') then level = 4 end
  if level <= 3 then
    local entries = redis.pcall('XRANGE', stream_of(P, ws .. ':s:' .. level), pos, '+', 'COUNT', ENTRIES_A_CALL)
    if entries.err then entries = {} end
    local jobs = {}
    for _, entry in ipairs(entries) do jobs[#jobs + 1] = string.sub(value_of(entry), 1, 16) end
    if #jobs > 0 then redis.call('SREM', candidates, unpack(jobs)) end
    if #entries == ENTRIES_A_CALL then
      pos = '(' .. entries[#entries][1]
    else
      level, pos = level + 1, '-'
    end
  end
  if level <= 3 then
    redis.call('HSET', P .. 'compare', 'level', level, 'pos', pos)
  else
    redis.call('HSET', P .. 'compare', 'phase', 'due', 'pos', '0')
  end
end

-- Takes out the collected jobs that have a member of 'due'. Redis passes over those of other workspaces.
local function take_out_delayed(P, ws, state)
  local pos, found, scans, candidates = state.pos, 0, 0, P .. 'w:' .. ws .. ':c'
  local is_done = not exists(P, 'w:' .. ws .. ':c')
  while not is_done and scans < SCANS_A_CALL and found < ENTRIES_A_CALL do
    local reply = redis.pcall('ZSCAN', P .. 'due', pos, 'MATCH', ws .. ':s:*', 'COUNT', ENTRIES_A_CALL)
    if reply.err then reply = {'0', {}} end
    local jobs = {}
    for i = 1, #reply[2], 2 do jobs[#jobs + 1] = string.match(reply[2][i], '^[^|]+:s:[123]|(................)') end
    if #jobs > 0 then redis.call('SREM', candidates, unpack(jobs)) end
    pos, found, scans, is_done = reply[1], found + #jobs, scans + 1, reply[1] == '0'
  end
  redis.call('HSET', P .. 'compare', 'phase', is_done and 'found' or 'due', 'pos', pos)
end

-- Returns collected jobs that have neither an entry nor a member of 'due': workspace, job, record without its result;
-- and so on.
local function found_lost(P, ws, now)
  local out, candidates = {}, P .. 'w:' .. ws .. ':c'
  for _, job in ipairs(redis.call('SRANDMEMBER', candidates, 100)) do
    local record = get_record(P, ws, job)
    local is_readable, start = pcall(result_start, record or '')
    if is_readable and WAITING[state_of(record)] and not runner_of(P, job) then
      out[#out + 1], out[#out + 2], out[#out + 3] = ws, job, string.sub(record, 1, start - 1)
    else
      redis.call('SREM', candidates, job)
    end
  end
  if #out == 0 and not exists(P, 'w:' .. ws .. ':c') then begin_workspace(P, ws, now) end
  return out
end

-- Removes expired jobs from the list of one workspace after the other.
local function trim_next(P, after)
  local ws = redis.call('ZRANGEBYLEX', P .. 'workspaces', after == '' and '-' or '(' .. after, '+', 'LIMIT', 0, 1)[1]
  if ws then
    local list = P .. 'w:' .. ws .. ':n'
    trim_list(P, ws, list, redis.call('LLEN', list), TRIMMED_A_CALL)
  end
  redis.call('HSET', P .. 'compare', 'trimmed', ws or '')
end

-- Takes one step. Arguments: node. Returns: the number of entries and members that were found missing by this call, 1
-- when this node is to take the next step at once and 0 otherwise, the number of audit entries that there ever were,
-- and the lost jobs, see found_lost.
register('compare', DRAIN, function(keys, args)
  local P = prefix(keys)
  local now, state, missing, lost = now_ms(), {}, 0, {}
  local all = redis.call('HGETALL', P .. 'compare')
  for i = 1, #all, 2 do state[all[i]] = all[i + 1] end
  if state.phase then
    local stepped = tonumber(state.stepped or 0)
    if state.stepper ~= args[1] and now >= stepped and now - stepped < STEPPER_MS then
      return {0, 0, audit_count(P), {}}
    end
    redis.call('HSET', P .. 'compare', 'stepper', args[1], 'stepped', string.format('%d', now))
  end
  if state.phase == 'records' then
    collect_waiting(P, state.ws, state)
  elseif state.phase == 'entries' then
    take_out(P, state.ws, state)
  elseif state.phase == 'due' then
    take_out_delayed(P, state.ws, state)
  elseif state.phase == 'found' then
    lost = found_lost(P, state.ws, now)
  else
    local at = tonumber(state.at or 0)
    -- Counting takes some microseconds for each workspace with entries.
    if now < at or now - at >= COMPARE_MS + 10 * redis.call('HLEN', P .. 'levels') then
      redis.call('HSET', P .. 'compare', 'at', string.format('%d', now), 'stepper', args[1], 'stepped',
        string.format('%d', now))
      trim_next(P, state.trimmed or '')
      local depth, actual = tonumber(redis.call('GET', P .. 'depth') or 0), unread_count(P)
      if depth ~= actual then redis.call('SET', P .. 'depth', actual) end
      local gap, known = due_gap(P), tonumber(state.gap or 0)
      if gap < known then redis.call('HSET', P .. 'compare', 'gap', gap) end
      missing = math.max(0, depth - actual) + math.max(0, gap - known)
      if missing > 0 or state.suspect then
        redis.call('HDEL', P .. 'compare', 'suspect')
        -- What is missing now is searched for once. What `lose` leaves of it belongs to no job that waits, such as a
        -- cancelled one. Members that are lost during the search are not in it, and lead to another one.
        redis.call('HSET', P .. 'compare', 'gap', gap)
        begin_workspace(P, '', now)
      end
    end
  end
  local is_running = redis.call('HEXISTS', P .. 'compare', 'phase')
  return {missing, is_running, audit_count(P), lost}
end)

-- Ends jobs whose entries are lost. Arguments: retention in ms, reason; then for each job: workspace, job ID, audit
-- event. Returns the number of jobs that were ended.
register('lose', DRAIN, function(keys, args)
  local P = prefix(keys)
  local stamp, has, records, audit, count, delayed = uint48(now_ms()), side_records(P), new_batch(), {}, 0, 0
  for i = 3, #args, 3 do
    local ws, job = args[i], args[i + 1]
    local record = get_record(P, ws, job)
    -- Only a job that is still among the collected ones has neither an entry nor a member of 'due'.
    local is_among = redis.call('SREM', P .. 'w:' .. ws .. ':c', job) == 1
    local code = record and pcall(result_start, record) and state_of(record)
    if is_among and WAITING[code] and not runner_of(P, job) then
      if code ~= 'a' then
        count_delayed(P, ws, -1)
        delayed = delayed + 1
      end
      put_record(records, P, ws, job, with_reason(with_state(record, 'l', stamp), args[2]))
      remove_side_records(P, has, job, 'l')
      collect_audit(audit, ws, args[i + 2])
      count = count + 1
    end
  end
  -- The counters do not miss these members any more.
  local gap = tonumber(redis.call('HGET', P .. 'compare', 'gap') or 0)
  if delayed > 0 and gap > 0 then redis.call('HSET', P .. 'compare', 'gap', math.max(0, gap - delayed)) end
  write_records(records, tonumber(args[1]))
  write_collected(P, audit)
  return count
end)
