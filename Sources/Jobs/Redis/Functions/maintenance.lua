-- Periodic work: due jobs, parked workspaces, the lifetime of records.

-- Corrects stored times after the clock of Redis went back, by a fail-over to another machine or because it was set.
-- Leases and the waits for rates would last too long. Times of jobs do not change.
local function set_clock_back(P, now, lease)
  for _, node in ipairs(redis.call('ZRANGEBYSCORE', P .. 'nodes', '(' .. string.format('%d', now + lease), '+inf')) do
    redis.call('ZADD', P .. 'nodes', string.format('%d', now + lease), node)
  end
  for _, key in ipairs({P .. 'away', P .. 'stranded'}) do
    for _, node in ipairs(redis.call('ZRANGEBYSCORE', key, '(' .. string.format('%d', now), '+inf')) do
      redis.call('ZADD', key, string.format('%d', now), node)
    end
  end
  redis.call('DEL', P .. 'rate')
  local last = string.format('%d', NO_END)
  for _, ws in ipairs(redis.call('ZRANGEBYSCORE', P .. 'parked', '-inf', '(' .. last)) do unpark(P, ws) end
end

-- Extends the lifetime of the records of waiting and running jobs: all buckets from that of the oldest entry of each
-- workspace on, those of jobs that wait again, and those of held jobs. Runs every KEEP_MS, which is less than the
-- lifetime of a bucket.
local KEPT_BUCKETS = 5000
local KEPT_A_CALL = 10000
-- Returns the workspace to continue with in the next call, or '' when it has finished: each call must be short.
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
      local oldest, first_ms = newest + 1, NO_END
      for level = 1, 3 do
        local reply = redis.pcall('XRANGE', stream_of(P, ws .. ':s:' .. level), '-', '+', 'COUNT', 1)
        if not reply.err and reply[1] then
          first_ms = math.min(first_ms, tonumber(string.match(reply[1][1], '^%d+')))
          local value = value_of(reply[1])
          if #value >= 16 then oldest = math.min(oldest, math.floor(millis(value) / BUCKET_MS)) end
        end
      end
      for number = math.max(oldest, newest - KEPT_BUCKETS), newest do keep(ws, number) end
      -- A job that was delayed, released or put back stands behind younger ones. What stood before the first entry that
      -- is left does not wait any more. A submitter may have replaced the key, or written anything into it.
      local again = P .. 'w:' .. ws .. ':b'
      redis.pcall('ZREMRANGEBYSCORE', again, '-inf', '(' .. string.format('%d', first_ms))
      local list = redis.pcall('ZRANGE', again, 0, KEPT_BUCKETS - 1)
      for _, bucket in ipairs(list.err and {} or list) do
        if tonumber(bucket) then keep(ws, tonumber(bucket)) end
      end
    end
  end
  return ''
end

-- Makes one due job available. Submitters of all workspaces write 'due', so only a job whose record says that it is
-- delayed gets an entry, or one that was submitted before `unkept` and has no record.
local function move_due(P, suffix, value, unkept)
  local ws, job = workspace_of(suffix), string.sub(value, 1, 16)
  count_delayed(P, ws, -1)
  local record = get_record(P, ws, job)
  local code = record and state_of(record)
  if code == 's' or code == 'r' or not record and millis(job) < unkept then
    if record then set_record(P, ws, job, 'a' .. string.sub(record, 2)) end
    add_entry(P, suffix, value)
    mark_level_ready(P, ws, level_of(suffix))
  elseif code == 'x' and redis.call('HGET', P .. 'cancel', job) == '' then
    -- It was cancelled while it was delayed.
    redis.call('HDEL', P .. 'cancel', job)
  else
    add_count(P, 'refused_entries', 1)
  end
end

-- Makes due jobs available, unparks the workspaces whose wait is over, and ends the homes whose nodes are gone.
-- Arguments: maximum count, lease in ms, retention in ms, how long a home may be away in ms or '' for any time.
-- Returns the number of jobs.
register('due', DRAIN, function(keys, args)
  local P = prefix(keys)
  local now = now_ms()
  local before = tonumber(redis.call('GET', P .. 'time') or 0)
  -- Up to a second back is a normal correction of a clock.
  if now < before - 1000 then set_clock_back(P, now, tonumber(args[2])) end
  redis.call('SET', P .. 'time', string.format('%d', now))
  if exists(P, 'parked') then unpark_due(P, now) end
  if args[4] ~= '' and exists(P, 'stranded') then release_homes(P, now, tonumber(args[4])) end
  -- When keep_records last began, and the workspace to continue with: 'ms:workspace'.
  local kept, rest = string.match(redis.call('GET', P .. 'kept') or '', '^(%d+):(.*)$')
  kept, rest = tonumber(kept or 0), rest or ''
  if rest ~= '' or now - kept >= KEEP_MS or now < kept then
    -- Members of 'due' whose time came meanwhile may have lost their records too, until all of them are moved.
    if unkept_before(P, now) == now then redis.call('SET', P .. 'unkept', string.format('%d', now) .. ':due') end
    if rest == '' then kept = now end
    redis.call('SET', P .. 'retention', args[3])
    rest = keep_records(P, now, tonumber(args[3]) + BUCKET_MS, rest)
    redis.call('SET', P .. 'kept', string.format('%d', kept) .. ':' .. rest)
  end
  local due = redis.call('ZRANGEBYSCORE', P .. 'due', '-inf', now, 'LIMIT', 0, tonumber(args[1]))
  local unkept = string.match(redis.call('GET', P .. 'unkept') or '', '^(%d+):due$')
  for _, member in ipairs(due) do
    local suffix, value = string.match(member, '^([^|]+:s:[123])|(.*)$')
    redis.call('ZREM', P .. 'due', member)
    if not suffix or #value < 16 then
      -- Another writer added this member. It must not block the others.
      add_count(P, 'unreadable', 1)
    else
      move_due(P, suffix, value, tonumber(unkept or 0))
    end
  end
  if unkept and #due < tonumber(args[1]) then redis.call('SET', P .. 'unkept', unkept) end
  return #due
end)
