-- Stores jobs. Arguments: retention, idempotency time, stream limit; then for each request:
-- workspace, job ID, request digest, params digest, level, record, envelope, audit event, start, extras.
-- Start is 0 for now, a delay in ms when it is below 10^11, otherwise ms since the epoch.
-- Extras are 'u=<hex>;' the digest of the unique key, 't=a,b;' the tags, 'k=<schedule>:<ms>;' the tick of a schedule,
-- and, always last, 'h=<id>.<hex>;' the ID and the first bytes of the stored workspace key that sealed the envelope.
-- Returns for each request: 0 accepted | 1 duplicate | 2 conflict | 3 full | 4 unique key in use | 5 quarantined |
-- 6 stale key; job ID; state code.
local STAMP_LENGTH = 24

register('submit', {}, function(keys, args)
  local P = prefix(keys)
  local now = now_ms()
  local retention, ttl, limit = tonumber(args[1]), tonumber(args[2]), tonumber(args[3])
  -- Request IDs are stored in one hash per half of their lifetime, and a hash expires as a whole. Whether a single
  -- request ID has expired follows from the time in its job ID.
  local half = ttl / 2
  local period = math.floor(now / half)
  local function idem_key(ws, back) return P .. 'w:' .. ws .. ':i:' .. string.format('%d', period - back) end
  local out, audit, records, newest, fresh, later = {}, {}, new_batch(), {}, {}, {}
  local requests, lengths, ready, tagged, added, hits, refused = {}, {}, {}, {}, 0, 0, 0
  local delayed, delays = {}, {}

  -- One command per workspace and period for the whole batch.
  local requested, prior, lost, owner = {}, {}, {}, {}
  for i = 4, #args, 10 do
    local ws = args[i]
    requested[ws] = requested[ws] or {}
    table.insert(requested[ws], args[i + 2])
  end
  for ws, digests in pairs(requested) do
    prior[ws], lost[ws] = {}, {}
    -- Includes the next period, because the clock may be slightly behind after a fail-over.
    for back = 2, -1, -1 do
      local found = redis.call('HMGET', idem_key(ws, back), unpack(digests))
      for n, value in ipairs(found) do
        if value and millis(value) > now - ttl then
          local record = get_record(P, ws, string.sub(value, 1, 16))
          -- A job that Redis lost may be submitted again.
          local is_lost = record and state_of(record) == 'l'
          if is_lost then lost[ws][digests[n]] = value else prior[ws][digests[n]] = value end
        end
      end
    end
  end

  -- False when the key that sealed the envelope is not the one stored here, because Redis was emptied or replaced since
  -- the submitter read it. Such an envelope could never be opened.
  local stamps = {}
  local function has_sealing_key(ws, extras)
    local id, stamp = string.match(extras, 'h=(%d+)%.(%x+);$', -STAMP_LENGTH - 14)
    if not stamp then return true end
    local name = ws .. '/' .. id
    if not stamps[name] then
      local stored = redis.call('HGET', P .. 'w:' .. ws .. ':k', id) or ''
      stamps[name] = string.gsub(string.sub(stored, 1, STAMP_LENGTH / 2), '.', function(byte)
        return string.format('%02x', string.byte(byte))
      end)
    end
    return stamps[name] == stamp
  end

  local has_quarantine = redis.call('HLEN', P .. 'quarantine') > 0
  for i = 4, #args, 10 do
    local ws, job, request, params, level = args[i], args[i + 1], args[i + 2], args[i + 3], args[i + 4]
    local suffix = ws .. ':s:' .. level
    local extras = args[i + 9]
    local before = prior[ws][request]
    local lost_before = not before and lost[ws][request]
    local unique, taken, tick_name, tick
    -- 'h' (104) comes last, so extras that begin with it contain nothing else.
    if not before and string.byte(extras, 1) ~= 104 then
      unique = string.match(extras, 'u=(%x+);')
      if unique then
        unique = string.gsub(unique, '%x%x', function(hex) return string.char(tonumber(hex, 16)) end)
        taken = redis.call('HGET', P .. 'w:' .. ws .. ':u', unique)
      end
      tick_name, tick = string.match(extras, 'k=([^:;]+):(%d+);')
    end
    local function state_now(id)
      local record = not fresh[id] and get_record(P, ws, id)
      local code = fresh[id] or record and state_of(record) or ''
      return (code == 'a' or code == 'r') and runner_of(P, id) and 'R' or code
    end
    if before then
      local first = string.sub(before, 1, 16)
      if string.sub(before, 17) == params then
        hits = hits + 1
        out[#out + 1] = {1, first, state_now(first)}
      else
        out[#out + 1] = {2, first, ''}
      end
    elseif lost_before and string.sub(lost_before, 17) ~= params then
      out[#out + 1] = {2, string.sub(lost_before, 1, 16), ''}
    elseif tick and tonumber(redis.call('HGET', P .. 'ticks', tick_name) or 0) >= tonumber(tick) then
      hits = hits + 1
      out[#out + 1] = {1, job, ''}
    elseif has_quarantine and redis.call('HEXISTS', P .. 'quarantine', ws) == 1 then
      out[#out + 1] = {5, job, ''}
    elseif not has_sealing_key(ws, extras) then
      out[#out + 1] = {6, job, ''}
    elseif taken then
      out[#out + 1] = {4, taken, state_now(taken)}
    else
      local time = tonumber(args[i + 8])
      if time > 0 and time < 100000000000 then time = now + time end
      local state = time > now and 's' or 'a'
      lengths[suffix] = lengths[suffix] or redis.call('XLEN', stream_of(P, suffix))
      if state == 's' then delayed[ws] = delayed[ws] or tonumber(redis.call('HGET', P .. 'delayed', ws) or 0) end
      if lengths[suffix] >= limit or state == 's' and delayed[ws] >= limit then
        refused = refused + 1
        out[#out + 1] = {3, job, ''}
      else
        local idem = idem_key(ws, 0)
        prior[ws][request] = job .. params
        requests[idem] = requests[idem] or {}
        table.insert(requests[idem], request)
        table.insert(requests[idem], job .. params)
        put_record(records, P, ws, job, state .. string.sub(args[i + 5], 2))
        if state == 's' then
          local key = record_key(P, ws, job)
          later[key] = math.max(later[key] or 0, time)
          redis.call('ZADD', P .. 'due', time, suffix .. '|' .. job .. args[i + 6])
          delayed[ws] = delayed[ws] + 1
          delays[ws] = (delays[ws] or 0) + 1
        else
          redis.call('XADD', stream_of(P, suffix), '*', 'e', job .. args[i + 6])
          lengths[suffix] = lengths[suffix] + 1
          added = added + 1
          if not ready[suffix] then
            ready[suffix] = true
            ready[#ready + 1] = suffix
          end
        end
        if unique then
          redis.call('HSET', P .. 'w:' .. ws .. ':u', unique, job)
          redis.call('HSET', P .. 'unique', job, unique .. ws)
        end
        if tick then redis.call('HSET', P .. 'ticks', tick_name, tick) end
        local list = P .. 'w:' .. ws .. ':n'
        newest[list] = newest[list] or {}
        owner[list] = ws
        table.insert(newest[list], job)
        for tag in string.gmatch(string.match(extras, 't=([^;]*);') or '', '[^,]+') do
          local key = P .. 'w:' .. ws .. ':t:' .. tag
          newest[key] = newest[key] or {}
          owner[key] = ws
          table.insert(newest[key], job)
          tagged[key] = math.max(tagged[key] or 0, time)
        end
        fresh[job] = state
        collect_audit(audit, ws, args[i + 7])
        out[#out + 1] = {0, job, state}
      end
    end
  end
  for key, fields in pairs(requests) do
    redis.call('HSET', key, unpack(fields))
    redis.call('PEXPIREAT', key, string.format('%d', (period + 1) * half + ttl))
  end
  write_records(records, retention)
  for key, time in pairs(later) do
    -- The record of a delayed job is kept until its start plus the retention.
    redis.call('PEXPIRE', key, time - now + retention + BUCKET_MS, 'GT')
  end
  for list, jobs in pairs(newest) do
    local length = redis.call('LPUSH', list, unpack(jobs))
    if length > LIST_LIMIT then redis.call('LTRIM', list, 0, LIST_LIMIT - 1) end
    trim_list(P, owner[list], list, math.min(length, LIST_LIMIT), 2 * #jobs)
    redis.call('ZADD', P .. 'workspaces', 0, owner[list])
  end
  for list, time in pairs(tagged) do
    local life = math.max(time - now, 0) + retention + BUCKET_MS
    if redis.call('PTTL', list) < life then redis.call('PEXPIRE', list, life) end
  end
  for _, suffix in ipairs(ready) do mark_level_ready(P, workspace_of(suffix), level_of(suffix)) end
  for ws, count in pairs(delays) do count_delayed(P, ws, count) end
  if added > 0 then redis.call('INCRBY', P .. 'depth', added) end
  if hits > 0 then add_count(P, 'duplicates', hits) end
  if refused > 0 then add_count(P, 'refused', refused) end
  write_collected(P, audit)
  return out
end)

-- Appends an audit event that belongs to no other step. Arguments: workspace or '', audit event.
register('audit', {}, function(keys, args)
  if write_audit(prefix(keys), args[1], {'e', args[2]}) then return 1 end
  return redis.error_reply('ERR the audit event could not be written')
end)
