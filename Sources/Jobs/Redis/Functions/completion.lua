-- Outcomes of jobs.

-- Adds a dead letter: an entry with the fields 'k' state code ('d' discarded, 'u' unresolved), 's' level, 'v' value,
-- 'x' record, 'q' digest of the unique key, if any. The hash w:WS:d maps its job to it. At the limit the oldest dead
-- letter is evicted, but none that is unresolved.
local function add_dead_letter(P, suffix, job, value, record, code)
  local ws = workspace_of(suffix)
  local key = P .. 'w:' .. ws .. ':dead'
  if redis.call('XLEN', key) >= DEAD_LIMIT then
    -- One by one, because a dead letter may be large and the first one can usually be evicted.
    local from, looked, is_done = '-', 0, false
    while not is_done and looked < 256 do
      local oldest = redis.call('XRANGE', key, from, '+', 'COUNT', 1)[1]
      if not oldest then break end
      local fields = {}
      for i = 1, #oldest[2], 2 do fields[oldest[2][i]] = oldest[2][i + 1] end
      if fields['k'] ~= 'u' then
        redis.call('XDEL', key, oldest[1])
        redis.call('HDEL', P .. 'w:' .. ws .. ':d', string.sub(fields['v'] or '', 1, 16))
        add_count(P, 'dead_letters_evicted', 1)
        is_done = true
      end
      from, looked = '(' .. oldest[1], looked + 1
    end
  end
  local unique = code == 'd' and job ~= '' and redis.call('HGET', P .. 'unique', job)
  local id = redis.call('XADD', key, '*', 'k', code, 's', level_of(suffix), 'v', value, 'x', record,
    unpack(unique and {'q', string.sub(unique, 1, 16)} or {}))
  if job ~= '' then redis.call('HSET', P .. 'w:' .. ws .. ':d', job, id) end
end

-- Writes outcomes and acknowledges their entries. Arguments: node, incarnation, retention in ms; then for each run of
-- entries of one stream: suffix, count (negative when the node has no files of the workspace and is to be its home no
-- more), and for each entry: lease key, entry ID, record (its state code selects what happens), audit event, and the
-- value to store again: empty for completed and cancelled jobs, preceded by the delay in ms and a '|' for 'r'. Returns
-- for each: 1 written | 0 fenced or already ended.
register('finish', DRAIN, function(keys, args)
  local P = prefix(keys)
  local node, retention = args[1], tonumber(args[3])
  local run = P .. 'run:' .. node
  local is_current = not_current(P, node, args[2]) == nil
  local now = now_ms()
  local stamp = uint48(now)
  local has = side_records(P)
  local out, audit, done, gone, records, active = {}, {}, {}, {}, new_batch(), {}
  local i = 4
  while i < #args do
    local suffix, number = args[i], tonumber(args[i + 1])
    local count = math.abs(number)
    i = i + 2
    local ws = workspace_of(suffix)
    local leases, ids, stretch, is_written = {}, {}, suffix .. '|', false
    for n = 1, count do leases[n] = args[i + (n - 1) * 5] end
    local tokens = is_current and redis.call('HMGET', run, unpack(leases)) or {}
    local jobs = {}
    for n = 1, count do
      local job = job_of(leases[n])
      if job ~= '' then jobs[#jobs + 1] = job end
    end
    local over = ended_among(P, ws, jobs)
    for n = 1, count do
      local lease, id, record, event, extra = leases[n], args[i + 1], args[i + 2], args[i + 3], args[i + 4]
      i = i + 5
      if done[lease] or tokens[n] ~= stretch .. id then
        out[#out + 1] = 0
      elseif over[job_of(lease)] then
        -- The job has ended through another entry, and that outcome remains.
        out[#out + 1] = 0
        done[lease] = true
        gone[#gone + 1] = lease
        ids[#ids + 1] = id
        add_count(P, 'refused_entries', 1)
      else
        out[#out + 1] = 1
        is_written = true
        done[lease] = true
        gone[#gone + 1] = lease
        ids[#ids + 1] = id
        local job, code = job_of(lease), state_of(record)
        if job ~= '' and string.byte(record, reason_end(record) + 1) == 0 then
          record = with_job_of(record, get_record(P, ws, job))
        end
        if ENDED[code] and job ~= '' then over[job] = true end
        if ENDED[code] then
          record = with_state(record, code, stamp)
          if code == 'd' or code == 'u' then add_dead_letter(P, suffix, job, extra, record, code) end
          if job ~= '' then remove_side_records(P, has, job, code) end
        elseif code == 'a' then
          add_entry(P, suffix, extra)
          mark_level_ready(P, ws, level_of(suffix))
        else
          local bar = string.find(extra, '|', 1, true)
          redis.call('HSET', P .. 'tries', job, string.byte(record, 12) .. ':' .. string.byte(record, 13))
          redis.call('ZADD', P .. 'due', string.format('%d', now + tonumber(string.sub(extra, 1, bar - 1))),
            suffix .. '|' .. string.sub(extra, bar + 1))
          count_delayed(P, ws, 1)
        end
        if job ~= '' then put_record(records, P, ws, job, record) end
        if #event > 0 then
          collect_audit(audit, ws, event)
        end
      end
    end
    if #ids > 0 then
      redis.call('XACK', stream_of(P, suffix), 'workers', unpack(ids))
      redis.call('XDEL', stream_of(P, suffix), unpack(ids))
      active[ws] = (active[ws] or 0) - #ids
    end
    if is_written and number < 0 then leave_home(P, ws, node) end
  end
  if #gone > 0 then drop_leases(P, run, gone) end
  write_records(records, retention)
  count_active(P, active)
  write_collected(P, audit)
  return out
end)

-- Stores the progress of a job that this node holds. Arguments: node, incarnation, job ID, percent, sealed text.
-- Returns 1, or 0 when the node does not hold the job.
register('progress', {}, function(keys, args)
  local P = prefix(keys)
  if not_current(P, args[1], args[2]) then return 0 end
  if redis.call('HEXISTS', P .. 'run:' .. args[1], args[3]) == 0 then return 0 end
  redis.call('HSET', P .. 'progress', args[3], string.format('%d:%d:', now_ms(), tonumber(args[4])) .. args[5])
  return 1
end)
