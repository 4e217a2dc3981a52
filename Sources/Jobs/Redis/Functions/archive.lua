-- Archiving: one node at a time reads the audit trails of a lane, and Redis keeps how far each is archived.
--   archiver   hash: node, inc, until (ms): the node that archives, its incarnation, and the end of its lease
--   archived   hash: trail -> ID of its last entry that is archived; '' is the trail of the lane

-- The size of a reply, which its last entry may pass, and of what is archived of an event and an entry.
local ARCHIVED_BYTES = 4194304
local ARCHIVED_EVENT = 4194304
local ARCHIVED_ENTRY = 33554432
local ARCHIVED_EVENTS = 4000

-- Whether one entry ID is later than another. Their numbers have up to 64 bits, which a double does not hold.
local function is_later(one, other)
  local a, b = string.match(one, '^(%d+)-(%d+)$')
  local c, d = string.match(other, '^(%d+)-(%d+)$')
  if not a then return false end
  if not c then return true end
  if #a ~= #c then return #a > #c end
  if a ~= c then return a > c end
  if #b ~= #d then return #b > #d end
  return b > d
end

-- Returns the node that archives when it is another one, else nil after the lease was renewed. An earlier process of
-- the same node is gone: its state directory is locked.
local function other_archiver(P, node, inc, term)
  local key, now = P .. 'archiver', now_ms()
  local held = redis.call('HMGET', key, 'node', 'inc', 'until')
  if held[1] == node then
    if #held[2] > #inc or (#held[2] == #inc and held[2] > inc) then return node end
  elseif held[1] and tonumber(held[3] or 0) > now then
    return held[1]
  end
  if term == 0 then
    redis.call('DEL', key)
  else
    -- After the clock of Redis went back a lease would last too long; the holder's next call corrects it.
    redis.call('HSET', key, 'node', node, 'inc', inc, 'until', string.format('%d', now + term))
  end
  return nil
end

-- Returns how far a trail is archived; nil when it is to be archived from its beginning. A submitter of the workspace
-- may add an entry with a late ID and then remove the trail: what the queue writes next has earlier IDs. The entry up
-- to which the trail is archived is gone then, and earlier ones are there. It is better to archive entries twice, with
-- their places, than not at all.
local function archived_end(P, trail, stream)
  local at = redis.call('HGET', P .. 'archived', trail)
  if not at then return nil end
  local newest = redis.pcall('XREVRANGE', stream, at, '-', 'COUNT', 1)
  if newest.err or #newest == 0 or newest[1][1] == at then return at end
  redis.call('HDEL', P .. 'archived', trail)
  return nil
end

-- What is archived instead of events that are too large.
local function oversized(events)
  local text = table.concat(events)
  return string.format('{"oversized":%d,"events":%d,"sha1":"%s"}', #text, #events, redis.sha1hex(text))
end

-- Returns the events of an entry, and their size with that of their places. The queue writes no entry that passes the
-- bounds. A submitter of the workspace may, and must not stop the archive.
local function archived_events(fields)
  local events, size, rest = {}, 0, {}
  for n = 2, #fields, 2 do
    local event = #fields[n] > ARCHIVED_EVENT and oversized({fields[n]}) or fields[n]
    if #rest > 0 or #events == ARCHIVED_EVENTS or size + #event > ARCHIVED_ENTRY then
      rest[#rest + 1] = fields[n]
    else
      events[#events + 1] = event
      size = size + #event + 64
    end
  end
  if #rest > 0 then events[#events + 1] = oversized(rest) end
  return events, size
end

-- Renews the lease of the node that archives, notes what it has archived, and reads what comes next. Arguments: node
-- with its owner, incarnation, term of the lease in ms or 0 to give it up, maximum count of entries, count of notes;
-- for each note a trail, the ID of its last archived entry and how many entries that adds; then the trails to read.
-- Returns the other node that archives, or ''; how many entries the trails ever had, and how many of them are
-- archived; the number of the trail to continue with, or 0; then for each entry its trail, ID and events. While
-- another node holds the lease nothing is noted.
register('archive', DRAIN, function(keys, args)
  local P = prefix(keys)
  local most, notes = tonumber(args[4]), tonumber(args[5])
  local other = other_archiver(P, args[1], args[2], tonumber(args[3]))
  if other then return {other, 0, 0, 0} end
  for i = 6, 5 + 3 * notes, 3 do
    if is_later(args[i + 1], redis.call('HGET', P .. 'archived', args[i]) or '') then
      redis.call('HSET', P .. 'archived', args[i], args[i + 1])
      redis.call('HINCRBY', P .. 'counts', 'archived', args[i + 2])
    end
  end
  local counts = redis.call('HMGET', P .. 'counts', 'audit', 'archived')
  local out = {'', tonumber(counts[1] or 0), tonumber(counts[2] or 0), 0}
  local first, bytes = 6 + 3 * notes, 0
  for i = first, #args do
    local trail = args[i]
    local stream = P .. (trail == '' and 'audit' or 'w:' .. trail .. ':audit')
    local at = archived_end(P, trail, stream)
    at = at and '(' .. at or '-'
    while at do
      if #out - 4 >= most or bytes >= ARCHIVED_BYTES then
        out[4] = i - first + 1
        return out
      end
      -- A submitter of the workspace may have replaced the stream by another type. One entry may have a gigabyte.
      local reply = redis.pcall('XRANGE', stream, at, '+', 'COUNT', 1)
      local entry = not reply.err and reply[1]
      if entry then
        local events, size = archived_events(entry[2])
        out[#out + 1] = {trail, entry[1], events}
        bytes = bytes + size
        at = '(' .. entry[1]
      else
        at = nil
      end
    end
  end
  return out
end)
