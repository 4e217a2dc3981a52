-- job id, record, node that runs it or '', failures, crashes, progress ('ms:percent:text' or '')
local function shown(P, ws, job)
  local record = get_record(P, ws, job)
  if not record then return false end
  local letter = state_of(record)
  local node = (letter == 'a' or letter == 'r') and runner_of(P, job)
  local f, c = tries_of(P, job)
  return {job, record, node or '', f, c, redis.call('HGET', P .. 'progress', job) or ''}
end

-- a record up to its result: see StoredRecord
local function without_result(record)
  local reason = string.byte(record, 14) * 256 + string.byte(record, 15)
  local place = 16 + reason
  for i = 1, 3 do place = place + 1 + string.byte(record, place) end
  return string.sub(record, 1, place - 1)
end

-- workspace, job id -> record or false
register('job', READ, function(keys, args) return shown(prefix(keys), args[1], args[2]) end)

-- workspace, most, tag or '', job id or '' -> records, newest first, older than the job where one is given;
-- those past their retention are left out, and so are results
register('jobs', READ, function(keys, args)
  local P = prefix(keys)
  local out = {}
  local list = args[3] == '' and ':n' or ':t:' .. args[3]
  local from = 0
  if args[4] ~= '' then
    local place = redis.call('LPOS', P .. 'w:' .. args[1] .. list, args[4])
    if not place then return out end
    from = place + 1
  end
  local most = tonumber(args[2])
  -- A page is full, or the list has ended: jobs whose record has expired do not make it shorter.
  while #out < most do
    local wanted = most - #out
    local jobs = redis.call('LRANGE', P .. 'w:' .. args[1] .. list, from, from + wanted - 1)
    for _, job in ipairs(jobs) do
      local record = shown(P, args[1], job)
      if record then
        record[2] = without_result(record[2])
        out[#out + 1] = record
      end
    end
    if #jobs < wanted then break end
    from = from + wanted
  end
  return out
end)

-- Asks to be told at 'done:<job>' when the job ends. workspace, job id -> its state's letter now or false
register('wait', DRAIN, function(keys, args)
  local P = prefix(keys)
  local now = now_ms()
  local record = get_record(P, args[1], args[2])
  if not record then return false end
  if not has_ended(state_of(record)) then
    redis.call('ZREMRANGEBYSCORE', P .. 'waiters', '-inf', string.format('%d', now - 3600000))
    redis.call('ZADD', P .. 'waiters', string.format('%d', now), args[2])
  end
  return state_of(record)
end)

-- -> waiting entries, age of the oldest of the first workspaces in line in ms, running, delayed, workspaces
-- that wait for their limits, requests answered from memory, requests refused by a bound, dead letters
-- evicted, entries refused
register('stats', READ, function(keys, args)
  local P = prefix(keys)
  local now = now_ms()
  local oldest, running = 0, 0
  for _, node in ipairs(redis.call('ZRANGE', P .. 'nodes', 0, -1)) do
    running = running + held_count(P .. 'run:' .. node)
  end
  for _, ws in ipairs(redis.call('ZRANGE', P .. 'ready', 0, 63)) do
    for level in string.gmatch(redis.call('HGET', P .. 'levels', ws) or '', '.') do
      local first = redis.call('XRANGE', P .. 'w:' .. ws .. ':s:' .. level, '-', '+', 'COUNT', 1)
      if first[1] then
        local ms = tonumber(string.match(first[1][1], '^(%d+)-'))
        if now - ms > oldest then oldest = now - ms end
      end
    end
  end
  local counts = redis.call('HMGET', P .. 'counts', 'duplicates', 'refused', 'buried', 'refused_entries')
  return {math.max(0, tonumber(redis.call('GET', P .. 'depth') or 0)), oldest, running,
    redis.call('ZCARD', P .. 'due'), redis.call('ZCARD', P .. 'parked'), tonumber(counts[1] or 0),
    tonumber(counts[2] or 0), tonumber(counts[3] or 0), tonumber(counts[4] or 0)}
end)

-- -> for each workspace with limits: name, 'weight:concurrency:rate:period', running now
register('limits', READ, function(keys, args)
  local P = prefix(keys)
  local all, out = redis.call('HGETALL', P .. 'limits'), {}
  for i = 1, #all, 2 do
    out[#out + 1] = {all[i], all[i + 1], tonumber(redis.call('HGET', P .. 'active', all[i]) or 0)}
  end
  return out
end)

-- -> for each workspace in quarantine: name, reason
register('quarantines', READ, function(keys, args)
  local all, out = redis.call('HGETALL', prefix(keys) .. 'quarantine'), {}
  for i = 1, #all, 2 do out[#out + 1] = {all[i], all[i + 1]} end
  return out
end)
