-- Reading. No function in this file changes a job.

-- A job for a reply: job ID, record, node that holds it or '', failures, crashes, progress (its time in ms, ':', its
-- percentage, ':', its sealed text; or '').
-- False when there is no record.
local function job_reply(P, ws, job)
  local record = get_record(P, ws, job)
  if not record then return false end
  local code = state_of(record)
  local node = (code == 'a' or code == 'r') and runner_of(P, job)
  local f, c = tries_of(P, job)
  return {job, record, node or '', f, c, redis.call('HGET', P .. 'progress', job) or ''}
end

-- Arguments: workspace, job ID. Returns the job, or false.
register('job', READ, function(keys, args) return job_reply(prefix(keys), args[1], args[2]) end)

-- Returns the jobs of a workspace that nodes hold. Arguments: workspace.
register('running', READ, function(keys, args)
  local P, out = prefix(keys), {}
  for _, node in ipairs(redis.call('ZRANGE', P .. 'nodes', 0, -1)) do
    for _, held in ipairs(leases_of(P .. 'run:' .. node)) do
      local suffix = split_token(held[2])
      if #held[1] == 16 and suffix and workspace_of(suffix) == args[1] then out[#out + 1] = held[1] end
    end
  end
  return out
end)

-- Returns the nodes whose lease holds: name, incarnation.
register('nodes', READ, function(keys)
  local P, out = prefix(keys), {}
  for _, node in ipairs(redis.call('ZRANGEBYSCORE', P .. 'nodes', string.format('%d', now_ms()), '+inf')) do
    out[#out + 1] = {node, redis.call('HGET', P .. 'node:' .. node, 'inc') or ''}
  end
  return out
end)

local MISSES = 20000
-- Lists jobs without their results. Arguments: workspace, maximum count, tag or '', job ID or ''. Returns the newest
-- jobs, with a job ID those that are older than it. Jobs whose record has expired are left out.
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
  local most, misses = tonumber(args[2]), 0
  -- Reads on until the page is full or the list ends, because jobs whose record has expired do not count. Many of them
  -- in a row are its end: older ones have expired too.
  while #out < most and misses < MISSES do
    local wanted = most - #out
    local jobs = redis.call('LRANGE', P .. 'w:' .. args[1] .. list, from, from + wanted - 1)
    for _, job in ipairs(jobs) do
      local reply = job_reply(P, args[1], job)
      local is_readable, start = pcall(result_start, reply and reply[2] or '')
      misses = is_readable and 0 or misses + 1
      if is_readable then
        reply[2] = string.sub(reply[2], 1, start - 1)
        out[#out + 1] = reply
      end
    end
    if #jobs < wanted then break end
    from = from + wanted
  end
  return out
end)

-- Requests a notification on the list 'done:JOB' when the job ends. Arguments: workspace, job ID. Returns the state
-- code now, or false when there is no such job.
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

-- Returns: waiting entries, age in ms of the oldest entry among LOOKED_AT workspaces with work, running jobs, delayed
-- jobs, parked workspaces, duplicate requests, requests refused at a bound, dead letters evicted, entries refused,
-- workspaces with work whose home is away.
local LOOKED_AT = 64
register('stats', READ, function(keys)
  local P = prefix(keys)
  local now = now_ms()
  local oldest, running, stranded, queues = 0, 0, 0, {}
  -- Adds a ready queue to those that are looked at, unless it is empty. Returns the number of its workspaces.
  local function add_queue(queue)
    local count = redis.call('ZCARD', queue)
    if count > 0 then queues[#queues + 1] = queue end
    return count
  end
  add_queue(ready_key(P))
  for _, node in ipairs(redis.call('ZRANGE', P .. 'nodes', 0, -1)) do
    running = running + held_count(P .. 'run:' .. node)
    add_queue(ready_key(P, node))
  end
  for _, node in ipairs(redis.call('ZRANGE', P .. 'stranded', 0, -1)) do
    if away_since(P, node) then stranded = stranded + add_queue(ready_key(P, node)) end
  end
  -- The first of each queue, so that none hides how long the others wait.
  local each = math.max(1, math.floor(LOOKED_AT / math.max(1, #queues)))
  for _, queue in ipairs(queues) do
    for _, ws in ipairs(redis.call('ZRANGE', queue, 0, each - 1)) do
      for level in string.gmatch(redis.call('HGET', P .. 'levels', ws) or '', '.') do
        local first = redis.call('XRANGE', P .. 'w:' .. ws .. ':s:' .. level, '-', '+', 'COUNT', 1)
        if first[1] then
          local ms = tonumber(string.match(first[1][1], '^(%d+)-'))
          if now - ms > oldest then oldest = now - ms end
        end
      end
    end
  end
  local counts = redis.call('HMGET', P .. 'counts', 'duplicates', 'refused', 'dead_letters_evicted',
    'refused_entries')
  return {math.max(0, tonumber(redis.call('GET', P .. 'depth') or 0)), oldest, running,
    redis.call('ZCARD', P .. 'due'), redis.call('ZCARD', P .. 'parked'), tonumber(counts[1] or 0),
    tonumber(counts[2] or 0), tonumber(counts[3] or 0), tonumber(counts[4] or 0), stranded}
end)

-- Returns for each workspace with limits: name, 'weight:concurrency:rate:period', running jobs.
register('limits', READ, function(keys)
  local P = prefix(keys)
  local all, out = redis.call('HGETALL', P .. 'limits'), {}
  for i = 1, #all, 2 do
    out[#out + 1] = {all[i], all[i + 1], tonumber(redis.call('HGET', P .. 'active', all[i]) or 0)}
  end
  return out
end)

-- Returns for each workspace in quarantine: name, reason.
register('quarantines', READ, function(keys)
  local all, out = redis.call('HGETALL', prefix(keys) .. 'quarantine'), {}
  for i = 1, #all, 2 do out[#out + 1] = {all[i], all[i + 1]} end
  return out
end)

-- Reads a page of an audit trail, newest first. Arguments: workspace, or '' for the events without one; entry ID to
-- begin with, or '+'; number of its events to read, or '' for all; maximum count of events. Returns the position of the
-- next page, 'ENTRY/NUMBER', or '' at the end; then the events. Reads at most as many entries as it returns events.
register('trail', READ, function(keys, args)
  local P = prefix(keys)
  local stream = P .. (args[1] == '' and 'audit' or 'w:' .. args[1] .. ':audit')
  local at, left, most, out = args[2], tonumber(args[3]), tonumber(args[4]), {''}
  while #out <= most do
    local reply = redis.pcall('XREVRANGE', stream, at, '-', 'COUNT', 1)
    local entry = not reply.err and reply[1]
    if not entry then
      out[1] = ''
      return out
    end
    local id, fields = entry[1], entry[2]
    local number = #fields / 2
    -- The entry of the position may have been removed meanwhile; an older one is then read in full.
    if left and id == at then number = math.min(left, number) end
    left = nil
    while number > 0 and #out <= most do
      out[#out + 1] = fields[2 * number]
      number = number - 1
    end
    out[1] = id .. '/' .. number
    at = '(' .. id
  end
  return out
end)
