-- What people do to jobs and workspaces.

-- Cancels a job. Arguments: workspace, job ID, audit event of the request, audit event of the outcome. Returns the
-- state code before ('R' running: its node is notified), or false when there is no such job.
register('cancel', DRAIN, function(keys, args)
  local P = prefix(keys)
  local ws, job = args[1], args[2]
  local record = get_record(P, ws, job)
  if not record then return false end
  local code = state_of(record)
  if has_ended(code) then return code end
  write_audit(P, ws, {'e', args[3]})
  if runner_of(P, job) then
    -- The node ends the run and writes the outcome. When the node dies first, the next delivery drops the job.
    redis.call('HSET', P .. 'cancel', job, args[4])
    redis.call('SADD', P .. 'cancelling', job)
    redis.call('XADD', P .. 'control', 'MAXLEN', '~', '1024', '*', 'c', job)
    return 'R'
  end
  set_record(P, ws, job, with_reason(with_state(record, 'x', uint48(now_ms())), 'cancelled: user'))
  write_audit(P, ws, {'e', args[4]})
  remove_side_records(P, side_records(P), job, 'x')
  -- The entry remains unread, because deleting it would make the lag of the stream wrong. It is dropped when it is
  -- read.
  redis.call('HSET', P .. 'cancel', job, '')
  return code
end)

-- The entry ID and the fields of a job's dead letter, or nothing.
local function dead_letter(P, ws, job)
  local id = redis.call('HGET', P .. 'w:' .. ws .. ':d', job)
  local entry = id and redis.call('XRANGE', P .. 'w:' .. ws .. ':dead', id, id)[1]
  if not entry then return end
  local fields = {}
  for i = 1, #entry[2], 2 do fields[entry[2][i]] = entry[2][i + 1] end
  return id, fields
end

local function remove_dead_letter(P, ws, job, id)
  redis.call('XDEL', P .. 'w:' .. ws .. ':dead', id)
  redis.call('HDEL', P .. 'w:' .. ws .. ':d', job)
end

-- Requeues the job of a dead letter without its failures and crashes. Returns false, and changes nothing, when another
-- job has its unique key.
local function requeue_dead_letter(P, ws, job, id, fields, event, retention)
  local unique = fields['q']
  if unique then
    if (redis.call('HGET', P .. 'w:' .. ws .. ':u', unique) or job) ~= job then return false end
    redis.call('HSET', P .. 'w:' .. ws .. ':u', unique, job)
    redis.call('HSET', P .. 'unique', job, unique .. ws)
  end
  local records = new_batch()
  put_record(records, P, ws, job, reset_record(get_record(P, ws, job) or fields['x']))
  write_records(records, retention)
  redis.call('HDEL', P .. 'tries', job)
  add_entry(P, ws .. ':s:' .. fields['s'], fields['v'])
  remove_dead_letter(P, ws, job, id)
  mark_level_ready(P, ws, fields['s'])
  write_audit(P, ws, {'e', event})
  return true
end

-- Lists dead letters. Arguments: workspace, maximum count. Returns job ID, record without output and entry ID, newest
-- first.
register('dead_letters', READ, function(keys, args)
  local P = prefix(keys)
  local out = {}
  for _, entry in ipairs(redis.call('XREVRANGE', P .. 'w:' .. args[1] .. ':dead', '+', '-', 'COUNT', args[2])) do
    local fields = {}
    for i = 1, #entry[2], 2 do fields[entry[2][i]] = entry[2][i + 1] end
    local record = fields['x'] or ''
    local is_whole, start = pcall(result_start, record)
    if is_whole then
      out[#out + 1] = {string.sub(fields['v'] or '', 1, 16), string.sub(record, 1, start - 1), entry[1]}
    end
  end
  return out
end)

-- Arguments: workspace, job ID. Returns the job's dead letter as above with its sealed output, or false.
register('dead_letter', READ, function(keys, args)
  local id, fields = dead_letter(prefix(keys), args[1], args[2])
  return id and {args[2], fields['x'], id} or false
end)

-- Arguments: workspace, job ID, audit event, retention in ms. Returns 1 requeued | 0 no such dead letter |
-- 2 unresolved | 3 another job has its unique key.
register('requeue', {}, function(keys, args)
  local P = prefix(keys)
  local id, fields = dead_letter(P, args[1], args[2])
  if not id then return 0 end
  if fields['k'] == 'u' then return 2 end
  return requeue_dead_letter(P, args[1], args[2], id, fields, args[3], tonumber(args[4])) and 1 or 3
end)

-- Removes a dead letter. Arguments: workspace, job ID, audit event. Returns 1, 0 or 2 as `requeue`.
register('drop', DRAIN, function(keys, args)
  local P = prefix(keys)
  local id, fields = dead_letter(P, args[1], args[2])
  if not id then return 0 end
  if fields['k'] == 'u' then return 2 end
  remove_dead_letter(P, args[1], args[2], id)
  write_audit(P, args[1], {'e', args[3]})
  return 1
end)

-- Records a person's decision on an unresolved job. Arguments: workspace, job ID, state code ('c' it took effect, 'd'
-- it did not, 'a' it did not and is to run again), reason, audit event, retention in ms. Returns 1, or 0 when there is
-- no such unresolved job.
register('resolve', {}, function(keys, args)
  local P = prefix(keys)
  local ws, job, code = args[1], args[2], args[3]
  local id, fields = dead_letter(P, ws, job)
  if not id or fields['k'] ~= 'u' then return 0 end
  if code == 'a' then
    requeue_dead_letter(P, ws, job, id, fields, args[5], tonumber(args[6]))
    return 1
  end
  local records = new_batch()
  local record = with_state(get_record(P, ws, job) or fields['x'], code, uint48(now_ms()))
  put_record(records, P, ws, job, with_reason(record, args[4]))
  write_records(records, tonumber(args[6]))
  remove_dead_letter(P, ws, job, id)
  remove_side_records(P, side_records(P), job, code)
  write_audit(P, ws, {'e', args[5]})
  return 1
end)

-- Arguments: schedule. Returns the time of its last tick in ms, which is now for a new schedule.
register('tick', {}, function(keys, args)
  local P = prefix(keys)
  redis.call('HSETNX', P .. 'ticks', args[1], string.format('%d', now_ms()))
  return redis.call('HGET', P .. 'ticks', args[1])
end)

-- Starts or ends a quarantine. Arguments: workspace, reason or '' to release it, audit event. Returns 1 when the
-- workspace entered or left quarantine, otherwise 0.
register('quarantine', DRAIN, function(keys, args)
  local P = prefix(keys)
  local changed
  if args[2] == '' then
    changed = redis.call('HDEL', P .. 'quarantine', args[1])
    unpark(P, args[1])
  else
    changed = 1 - redis.call('HEXISTS', P .. 'quarantine', args[1])
    redis.call('HSET', P .. 'quarantine', args[1], args[2])
  end
  write_audit(P, args[1], {'e', args[3]})
  return changed
end)

-- Sets or removes limits. Arguments: workspace, 'weight:concurrency:rate:period' or '' to remove them, audit event.
register('limit', DRAIN, function(keys, args)
  local P = prefix(keys)
  if args[2] == '' then
    redis.call('HDEL', P .. 'limits', args[1])
  else
    redis.call('HSET', P .. 'limits', args[1], args[2])
  end
  redis.call('HDEL', P .. 'rate', args[1])
  redis.call('HDEL', P .. 'credit', args[1])
  unpark(P, args[1])
  write_audit(P, args[1], {'e', args[3]})
  return 1
end)
