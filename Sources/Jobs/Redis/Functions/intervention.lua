-- workspace, job id, event of the request, event of the outcome
-- -> state's letter before ('R' running: its node is told), or false when there is no such job
register('cancel', DRAIN, function(keys, args)
  local P = prefix(keys)
  local ws, job = args[1], args[2]
  local record = get_record(P, ws, job)
  if not record then return false end
  local letter = state_of(record)
  if has_ended(letter) then return letter end
  redis.call('XADD', P .. 'audit', '*', 'e', args[3])
  if runner_of(P, job) then
    -- Its node ends the run and writes the outcome; should it die first, whoever delivers it next does.
    redis.call('HSET', P .. 'cancel', job, args[4])
    redis.call('SADD', P .. 'cancelling', job)
    redis.call('XADD', P .. 'control', 'MAXLEN', '~', '1024', '*', 'c', job)
    return 'R'
  end
  set_record(P, ws, job, with_reason(with_state(record, 'x', uint48(now_ms())), 'cancelled: user'))
  redis.call('XADD', P .. 'audit', '*', 'e', args[4])
  ended(P, keepsakes(P), job, 'x')
  -- The entry stays where it is, unread: to delete it would spoil the stream's lag. It is dropped when its
  -- turn comes.
  redis.call('HSET', P .. 'cancel', job, '')
  return letter
end)

local function dead_letter(P, ws, job)
  local id = redis.call('HGET', P .. 'w:' .. ws .. ':d', job)
  local entry = id and redis.call('XRANGE', P .. 'w:' .. ws .. ':dead', id, id)[1]
  if not entry then return end
  local fields = {}
  for i = 1, #entry[2], 2 do fields[entry[2][i]] = entry[2][i + 1] end
  return id, fields
end

local function forget_dead_letter(P, ws, job, id)
  redis.call('XDEL', P .. 'w:' .. ws .. ':dead', id)
  redis.call('HDEL', P .. 'w:' .. ws .. ':d', job)
end

-- Puts what a dead letter holds back in line, its tries forgotten. False when another job has its unique key now.
local function revive(P, ws, job, id, fields, event, retention)
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
  forget_dead_letter(P, ws, job, id)
  mark_level_ready(P, ws, fields['s'])
  redis.call('XADD', P .. 'audit', '*', 'e', event)
  return true
end

-- workspace, most -> dead letters without their output, newest first: job id, record, entry id
register('dead', READ, function(keys, args)
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

-- workspace, job id -> its dead letter as above, with the sealed output, or false
register('letter', READ, function(keys, args)
  local id, fields = dead_letter(prefix(keys), args[1], args[2])
  return id and {args[2], fields['x'], id} or false
end)

-- workspace, job id, audit event, retention -> 1 | 0 none of this id | 2 waits for a decision | 3 another
-- job has its unique key
register('requeue', {}, function(keys, args)
  local P = prefix(keys)
  local id, fields = dead_letter(P, args[1], args[2])
  if not id then return 0 end
  if fields['k'] == 'u' then return 2 end
  return revive(P, args[1], args[2], id, fields, args[3], tonumber(args[4])) and 1 or 3
end)

-- Lets go of a dead letter. workspace, job id, audit event -> as requeue
register('drop', DRAIN, function(keys, args)
  local P = prefix(keys)
  local id, fields = dead_letter(P, args[1], args[2])
  if not id then return 0 end
  if fields['k'] == 'u' then return 2 end
  forget_dead_letter(P, args[1], args[2], id)
  redis.call('XADD', P .. 'audit', '*', 'e', args[3])
  return 1
end)

-- A person's word on a job whose outcome is unknown. workspace, job id, 'c' it was done | 'd' it was not, and is
-- not to be | 'a' it was not, and is to be tried again; reason, audit event, retention -> 1 | 0 none waits
register('resolve', {}, function(keys, args)
  local P = prefix(keys)
  local ws, job, letter = args[1], args[2], args[3]
  local id, fields = dead_letter(P, ws, job)
  if not id or fields['k'] ~= 'u' then return 0 end
  if letter == 'a' then
    revive(P, ws, job, id, fields, args[5], tonumber(args[6]))
    return 1
  end
  local records = new_batch()
  local record = with_state(get_record(P, ws, job) or fields['x'], letter, uint48(now_ms()))
  put_record(records, P, ws, job, with_reason(record, args[4]))
  write_records(records, tonumber(args[6]))
  forget_dead_letter(P, ws, job, id)
  ended(P, keepsakes(P), job, letter)
  redis.call('XADD', P .. 'audit', '*', 'e', args[5])
  return 1
end)

-- schedule -> ms of its last tick; now for one that is new
register('tick', {}, function(keys, args)
  local P = prefix(keys)
  redis.call('HSETNX', P .. 'ticks', args[1], string.format('%d', now_ms()))
  return redis.call('HGET', P .. 'ticks', args[1])
end)

-- workspace, reason or '' to let it go on, audit event -> 1 when that changed anything
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
  redis.call('XADD', P .. 'audit', '*', 'e', args[3])
  return changed
end)

-- workspace, 'weight:concurrency:rate:period' or '' for none, audit event
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
  redis.call('XADD', P .. 'audit', '*', 'e', args[3])
  return 1
end)
