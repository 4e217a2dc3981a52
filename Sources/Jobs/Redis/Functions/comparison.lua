-- Comparing what is stored: finds waiting jobs whose entries Redis lost, because a stream was deleted or trimmed.

-- Unread entries are counted every COMPARE_MS. When there are fewer than the counter says, or when an entry that a node
-- held is gone, all workspaces are searched, a part at a time: 'records' collects the waiting jobs of a workspace from
-- its records, 'entries' takes out those that have an entry, 'found' returns the rest. The state is in P .. 'compare',
-- the collected jobs in P .. 'w:WS:c'. `add_entry` takes out jobs that get an entry meanwhile.
local COMPARE_MS = 30000
local COMPARED_A_CALL = 2000

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

-- Entries that the audit trail ever had: it only becomes smaller when Redis was emptied or went back.
local function audit_count(P)
  local info = redis.pcall('XINFO', 'STREAM', P .. 'audit')
  if info.err then return 0 end
  for i = 1, #info, 2 do
    if info[i] == 'entries-added' then return info[i + 1] end
  end
  return 0
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
    'oldest', math.max(0, newest - KEPT_BUCKETS), 'cursor', '0')
end

-- Collects waiting jobs from the records, newest bucket first.
local function collect_waiting(P, ws, state)
  local bucket, oldest, cursor = tonumber(state.bucket), tonumber(state.oldest), state.cursor
  local spent, candidates = 0, P .. 'w:' .. ws .. ':c'
  while spent < COMPARED_A_CALL and bucket >= oldest do
    local reply = redis.call('HSCAN', P .. 'w:' .. ws .. ':r:' .. string.format('%d', bucket), cursor, 'COUNT', 500)
    cursor = reply[1]
    local fields, waiting = reply[2], {}
    for i = 1, #fields, 2 do
      if state_of(fields[i + 1]) == 'a' then waiting[#waiting + 1] = fields[i] end
    end
    if #waiting > 0 then
      redis.call('SADD', candidates, unpack(waiting))
      redis.call('PEXPIRE', candidates, 3600000)
    end
    spent = spent + 2 + #fields / 2
    if cursor == '0' then bucket = bucket - 1 end
  end
  if bucket >= oldest then
    redis.call('HSET', P .. 'compare', 'bucket', bucket, 'cursor', cursor)
  else
    redis.call('HSET', P .. 'compare', 'phase', 'entries', 'level', 1, 'pos', '-')
  end
end

-- Takes out the collected jobs that have an entry.
local function take_out(P, ws, state)
  local level, pos, candidates = tonumber(state.level), state.pos, P .. 'w:' .. ws .. ':c'
  if not exists(P, 'w:' .. ws .. ':c') then level = 4 end
  if level <= 3 then
    local entries = redis.pcall('XRANGE', stream_of(P, ws .. ':s:' .. level), pos, '+', 'COUNT', COMPARED_A_CALL)
    if entries.err then entries = {} end
    local jobs = {}
    for _, entry in ipairs(entries) do jobs[#jobs + 1] = string.sub(value_of(entry), 1, 16) end
    if #jobs > 0 then redis.call('SREM', candidates, unpack(jobs)) end
    if #entries == COMPARED_A_CALL then
      pos = '(' .. entries[#entries][1]
    else
      level, pos = level + 1, '-'
    end
  end
  if level <= 3 then
    redis.call('HSET', P .. 'compare', 'level', level, 'pos', pos)
  else
    redis.call('HSET', P .. 'compare', 'phase', 'found')
  end
end

-- Returns collected jobs that wait and have no entry: workspace, job, record without its result; and so on.
local function found_lost(P, ws, now)
  local out, candidates = {}, P .. 'w:' .. ws .. ':c'
  for _, job in ipairs(redis.call('SRANDMEMBER', candidates, 100)) do
    local record = get_record(P, ws, job)
    if record and state_of(record) == 'a' and not runner_of(P, job) then
      out[#out + 1], out[#out + 2], out[#out + 3] = ws, job, string.sub(record, 1, result_start(record) - 1)
    else
      redis.call('SREM', candidates, job)
    end
  end
  if #out == 0 and not exists(P, 'w:' .. ws .. ':c') then begin_workspace(P, ws, now) end
  return out
end

-- Takes one step. Returns: the number of entries that were found missing by this call, 1 when there is a next step at
-- once and 0 otherwise, the number of audit entries that there ever were, and the lost jobs, see found_lost.
register('compare', DRAIN, function(keys)
  local P = prefix(keys)
  local now, state, missing, lost = now_ms(), {}, 0, {}
  local all = redis.call('HGETALL', P .. 'compare')
  for i = 1, #all, 2 do state[all[i]] = all[i + 1] end
  if state.phase == 'records' then
    collect_waiting(P, state.ws, state)
  elseif state.phase == 'entries' then
    take_out(P, state.ws, state)
  elseif state.phase == 'found' then
    lost = found_lost(P, state.ws, now)
  else
    local at = tonumber(state.at or 0)
    if now < at or now - at >= COMPARE_MS then
      redis.call('HSET', P .. 'compare', 'at', string.format('%d', now))
      local depth, actual = tonumber(redis.call('GET', P .. 'depth') or 0), unread_count(P)
      if depth ~= actual then redis.call('SET', P .. 'depth', actual) end
      missing = math.max(0, depth - actual)
      if missing > 0 or state.suspect then
        redis.call('HDEL', P .. 'compare', 'suspect')
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
  local stamp, has, records, audit, count = uint48(now_ms()), side_records(P), new_batch(), {}, 0
  for i = 3, #args, 3 do
    local ws, job = args[i], args[i + 1]
    local record = get_record(P, ws, job)
    -- Only a job that is still among the collected ones has no entry.
    if redis.call('SREM', P .. 'w:' .. ws .. ':c', job) == 1 and record and state_of(record) == 'a'
      and not runner_of(P, job) then
      put_record(records, P, ws, job, with_reason(with_state(record, 'l', stamp), args[2]))
      remove_side_records(P, has, job, 'l')
      audit[#audit + 1] = 'e'
      audit[#audit + 1] = args[i + 2]
      count = count + 1
    end
  end
  write_records(records, tonumber(args[1]))
  if count > 0 then
    redis.call('HINCRBY', P .. 'counts', 'lost', count)
    redis.call('XADD', P .. 'audit', '*', unpack(audit))
  end
  return count
end)
