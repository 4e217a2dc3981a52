-- Shared by all functions. The files are concatenated, so each uses the local functions of those before it.
--
-- Keys of a lane, below 'orc:{l0}:'. WS is a workspace, NODE a node's name, JOB a job ID of 16 bytes.
--   w:WS:s:LEVEL   stream of entries             w:WS:r:NUMBER  bucket (hash) of records, by time of submission
--   w:WS:i:PERIOD  hash of request IDs           w:WS:u         hash of unique keys in use -> JOB
--   w:WS:n         newest jobs                   w:WS:t:TAG     newest jobs with a tag
--   w:WS:dead      stream of dead letters        w:WS:d         hash JOB -> entry ID in w:WS:dead
--   w:WS:k         wrapped workspace keys            w:WS:c         set of jobs, see comparison.lua
--   w:WS:b         buckets of jobs that wait again -> the time of the last such entry, see keep_records
--   workspaces     all workspaces, by name           compare        progress of a comparison, see comparison.lua
--   ready, ready:NODE, turn, homes, away, stranded              see ready.lua
--   levels         WS -> levels that may have unread entries    parked    workspaces that wait for their limits
--   credit, passed, rate, limits, active, delayed, quarantine   per workspace, see delivery.lua
--   nodes          nodes by the end of their lease              node:NODE incarnation, owner, fence
--   run:NODE       the running hash: lease key -> token         due       delayed jobs, by time
--   holders        job -> node that holds it; a hint, which is checked with the running hash
--   tries, cancel, cancelling, unique, progress, waiters        side records of jobs, see side_records
--   bell           the wake-up stream of idle nodes             control   requests to nodes, such as cancellations
--   w:WS:audit     the audit trail of a workspace; an entry has the events of one step, each in a field 'e'
--   audit          audit events without a workspace             counts    counters
--   ticks, depth, time, kept, unkept, retention, master, lanes, files   single values

-- A multiple of 256, so that IDs with the same first five bytes share a bucket.
local BUCKET_MS = 614400
local DEAD_LIMIT = 10000
local NEWEST_LIMIT = 10000
local LIST_LIMIT = 1000000
-- The largest integer that a double holds exactly: a score that no time reaches.
local NO_END = 9007199254740991

local function redis_ms()
  local t = redis.call('TIME')
  return tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
end
local function now_ms() @NOW@ end

-- 'orc:{l0}:lane' -> 'orc:{l0}:'
local function prefix(keys) return string.sub(keys[1], 1, -5) end

-- A stream is named by its suffix, such as 'acme:s:2': workspace and level.
local function stream_of(P, suffix) return P .. 'w:' .. suffix end
local function workspace_of(suffix) return string.sub(suffix, 1, -5) end
local function level_of(suffix) return string.sub(suffix, -1) end

-- The time in a job ID: its first six bytes.
local function millis(bytes)
  local a, b, c, d, e, f = string.byte(bytes, 1, 6)
  return ((((a * 256 + b) * 256 + c) * 256 + d) * 256 + e) * 256 + f
end

-- A number as six bytes, most significant first.
local function uint48(number)
  local out = {}
  for i = 6, 1, -1 do
    out[i] = string.char(number % 256)
    number = math.floor(number / 256)
  end
  return table.concat(out)
end

-- Records; StoredRecord reads and writes the same bytes. 1: state code; 2-7: end, in ms since the epoch; 8-11: run
-- time in ms; 12: failures; 13: crashes; 14-15: length of the reason, then the reason; then action, node and tags,
-- each after its length in one byte; the sealed terms after their length in two bytes; the rest is the sealed
-- result. State codes: s a r c x d u l, see JobState.code.
-- Tags of 255 bytes and more: 255, their length in two bytes, and the tags.
local NEVER = '\0\0\0\0\0\0'
local function state_of(record) return string.sub(record, 1, 1) end
local ENDED = {c = true, x = true, d = true, u = true, l = true}
local function has_ended(code) return ENDED[code] end
local function with_state(record, code, end_time) return code .. end_time .. string.sub(record, 8) end
local function reason_end(record)
  local a, b = string.byte(record, 14, 15)
  return 15 + a * 256 + b
end
local function with_reason(record, reason)
  return string.sub(record, 1, 13) .. string.char(math.floor(#reason / 256), #reason % 256) .. reason ..
    string.sub(record, reason_end(record) + 1)
end
-- The position of the end of the tags whose length is at i.
local function tags_end(record, i)
  local length, high, low = string.byte(record, i, i + 2)
  if length == 255 then return i + 2 + high * 256 + low end
  return i + length
end
-- The position of the end of the terms that follow tags whose length is at i.
local function terms_end(record, i)
  local at = tags_end(record, i) + 1
  local high, low = string.byte(record, at, at + 1)
  -- A record of another build has none.
  if not low then return at - 1 end
  return at + 1 + high * 256 + low
end
-- The position at which the result begins.
local function result_start(record)
  local i = reason_end(record) + 1
  for _ = 1, 2 do i = i + 1 + string.byte(record, i) end
  return terms_end(record, i) + 1
end
-- A node that did not open a job reports a record without its action; what is stored about the job stays.
local function with_job_of(record, stored)
  local i = reason_end(record) + 1
  if not stored or string.byte(record, i) ~= 0 then return record end
  local node = string.sub(record, i + 1, i + 1 + string.byte(record, i + 1))
  local s = reason_end(stored) + 1
  local action = string.sub(stored, s, s + string.byte(stored, s))
  s = s + #action
  s = s + 1 + string.byte(stored, s)
  return string.sub(record, 1, i - 1) .. action .. node .. string.sub(stored, s, terms_end(stored, s)) ..
    string.sub(record, result_start(record))
end
-- The record of a job that has not run: no times, attempts, reason, node or result.
local function reset_record(record)
  local i = reason_end(record) + 1
  local action = string.sub(record, i, i + string.byte(record, i))
  i = i + #action
  i = i + 1 + string.byte(record, i)
  local tags_and_terms = string.sub(record, i, terms_end(record, i))
  return 'a' .. NEVER .. string.char(0, 0, 0, 0, 0, 0, 0, 0) .. action .. string.char(0) .. tags_and_terms
end

-- A record is stored in the bucket of its job's time of submission.
local function record_key(P, ws, job)
  return P .. 'w:' .. ws .. ':r:' .. string.format('%d', math.floor(millis(job) / BUCKET_MS))
end

-- Records are collected by bucket and written with one command per bucket, because one command with many fields is
-- cheaper than many commands. Most jobs of a batch share their first five bytes, and so their bucket.
local function new_batch() return {keys = {}, buckets = {}} end
local function put_record(batch, P, ws, job, record)
  local keys = batch.keys[ws]
  if not keys then
    keys = {}
    batch.keys[ws] = keys
  end
  local memo = string.sub(job, 1, 5)
  local key = keys[memo]
  if not key then
    key = record_key(P, ws, job)
    keys[memo] = key
  end
  local fields = batch.buckets[key]
  if not fields then
    fields = {}
    batch.buckets[key] = fields
  end
  fields[#fields + 1] = job
  fields[#fields + 1] = record
end

local function write_records(batch, retention)
  for key, fields in pairs(batch.buckets) do
    redis.call('HSET', key, unpack(fields))
    -- The retention counts from the last write, so from the end of a job and not from its submission.
    local life = retention + BUCKET_MS
    if redis.call('PEXPIRE', key, life, 'NX') == 0 then redis.call('PEXPIRE', key, life, 'GT') end
  end
end

-- The set of those jobs of a list of job IDs that have ended, and the set of those without a record. One command per
-- bucket.
local function ended_among(P, ws, jobs)
  local buckets, names, found, absent = {}, {}, {}, {}
  for _, job in ipairs(jobs) do
    local memo = string.sub(job, 1, 5)
    if not buckets[memo] then
      buckets[memo] = {}
      names[memo] = record_key(P, ws, job)
    end
    table.insert(buckets[memo], job)
  end
  for memo, list in pairs(buckets) do
    for n, record in ipairs(redis.call('HMGET', names[memo], unpack(list))) do
      if not record then absent[list[n]] = true
      elseif ENDED[state_of(record)] then found[list[n]] = true end
    end
  end
  return found, absent
end

local function get_record(P, ws, job) return redis.call('HGET', record_key(P, ws, job), job) end
-- Removes jobs whose record has expired from the end of a list, `most` at most, but keeps the newest NEWEST_LIMIT.
local function trim_list(P, ws, list, length, most)
  for _ = 1, math.min(most, length - NEWEST_LIMIT) do
    if get_record(P, ws, redis.call('LINDEX', list, -1)) then return end
    redis.call('RPOP', list)
  end
end
-- The lifetime of a bucket, for calls that do not pass the retention. The function `due` stores it.
local function life_of(P) return tonumber(redis.call('GET', P .. 'retention') or 86400000) + BUCKET_MS end
-- Nodes extend the lifetime of the records of waiting jobs this often, see keep_records. When all nodes were away for
-- longer than records live, jobs that wait may have lost theirs. Returns the time before which such jobs were
-- submitted, 0 when there are none.
local KEEP_MS = 300000
local function unkept_before(P, now)
  local kept = tonumber(string.match(redis.call('GET', P .. 'kept') or '', '^%d+') or 0)
  if now - kept >= life_of(P) - KEEP_MS then return now end
  return tonumber(string.match(redis.call('GET', P .. 'unkept') or '', '^%d+') or 0)
end
-- Whether a job that has no record is one that ended, and whose record has expired since. The record of a job that
-- waits is kept, and that of a young one has not expired.
local function is_expired(P, job)
  local now, submitted = now_ms(), millis(job)
  return submitted + life_of(P) < now and submitted >= unkept_before(P, now)
end
local function set_record(P, ws, job, record)
  local key = record_key(P, ws, job)
  redis.call('HSET', key, job, record)
  redis.call('PEXPIRE', key, life_of(P), 'GT')
end

local function error_of(reply) return type(reply) == 'table' and reply.err or nil end
-- Writes to a key that a submitter's Redis user may have replaced by another type. What replaced it is deleted, so that
-- it ends no step half way. Returns the reply, which may be an error.
local function write_replaced(command, key, ...)
  local reply = redis.pcall(command, key, ...)
  if string.find(error_of(reply) or '', 'WRONGTYPE', 1, true) then
    redis.pcall('DEL', key)
    reply = redis.pcall(command, key, ...)
  end
  return reply
end
local function add_count(P, name, number) write_replaced('HINCRBY', P .. 'counts', name, number) end

-- Appends the events of one step, 'e', EVENT and so on, to the audit trail of a workspace; '' for none. A trail that
-- takes no entry, because a submitter of the workspace added one with the last possible ID, stays as it is, and the
-- events go to the lane's trail. Returns whether they were written; the rest of a step does not depend on it.
local function write_audit(P, ws, events)
  local trail = P .. 'w:' .. ws .. ':audit'
  local is_written = ws ~= '' and not error_of(write_replaced('XADD', trail, '*', unpack(events)))
    or not error_of(redis.pcall('XADD', P .. 'audit', '*', unpack(events)))
  add_count(P, is_written and 'audit' or 'unaudited', 1)
  return is_written
end
-- Collects events by workspace, so that one command writes those of a workspace.
local function collect_audit(audit, ws, event)
  local events = audit[ws] or {}
  audit[ws] = events
  events[#events + 1] = 'e'
  events[#events + 1] = event
end
local function write_collected(P, audit)
  for ws, events in pairs(audit) do write_audit(P, ws, events) end
end

local function exists(P, name) return redis.call('EXISTS', P .. name) == 1 end

-- An entry that a node held is gone, so the next comparison searches all records.
local function suspect_loss(P) redis.call('HSET', P .. 'compare', 'suspect', '1') end

-- Entries. Each has one field: the job ID of 16 bytes, then the envelope.
local function add_entry(P, suffix, value)
  local id = redis.call('XADD', stream_of(P, suffix), '*', 'e', value)
  local ws_key = P .. 'w:' .. workspace_of(suffix)
  redis.call('INCR', P .. 'depth')
  if #value < 16 then return end
  -- A job that has an entry is not lost.
  redis.call('SREM', ws_key .. ':c', string.sub(value, 1, 16))
  -- The job may be older than those that it waits behind, so keep_records looks for its bucket here.
  write_replaced('ZADD', ws_key .. ':b', string.match(id, '^%d+'),
    string.format('%d', math.floor(millis(value) / BUCKET_MS)))
end
local function value_of(entry) return entry[2][1] == 'e' and entry[2][2] or '' end
-- Counts the delayed jobs of each workspace, which are bounded.
local function count_delayed(P, ws, change)
  if redis.call('HINCRBY', P .. 'delayed', ws, change) <= 0 then redis.call('HDEL', P .. 'delayed', ws) end
end
local function drop_entry(P, suffix, id)
  redis.call('XACK', stream_of(P, suffix), 'workers', id)
  redis.call('XDEL', stream_of(P, suffix), id)
end

-- Leases. A node's running hash maps each lease key to a token, which names the entry. The lease key is the job ID. An
-- entry without a job ID has a lease key of its own.
local function lease_key(value, suffix, id)
  if #value < 16 then return '#' .. suffix .. '|' .. id end
  return string.sub(value, 1, 16)
end
local function job_of(lease) return #lease == 16 and lease or '' end
-- 'acme:s:2|17-0' -> 'acme:s:2', '17-0'
local function split_token(token) return string.match(token, '^([^|]*)|([^|]*)$') end

-- Nil when this incarnation holds the node's name, otherwise the error to return.
local function not_current(P, node, inc)
  local current = redis.call('HGET', P .. 'node:' .. node, 'inc')
  if current == inc then return nil end
  if not current then return redis.error_reply('ORCGONE the node is not registered; it must join again') end
  return redis.error_reply('ORCSTALE this node was replaced by a newer incarnation')
end

-- At maxmemory Redis refuses functions that may use memory. Only new submissions may be refused; the functions that
-- work off jobs free memory, so they are marked 'allow-oom'.
local function register(name, flags, callback)
  redis.register_function{function_name = 'orc@V@_' .. name, callback = callback, flags = flags}
end
local DRAIN = {'allow-oom'}
local READ = {'no-writes'}

-- Redis stores a small hash as a list that it searches from the front: with 512 leases that was a fifth of its CPU
-- time. A value of more than 64 bytes (hash-max-listpack-value) converts the hash to a table permanently. The hash of
-- holders has one too.
local SENTINEL = '_'
local SENTINEL_VALUE = '.................................................................'

-- Pairs of lease key and token of a running hash, ordered by token.
local function leases_of(run)
  local all, out = redis.call('HGETALL', run), {}
  for i = 1, #all, 2 do
    if all[i] ~= SENTINEL then out[#out + 1] = {all[i], all[i + 1]} end
  end
  table.sort(out, function(a, b) return a[2] < b[2] end)
  return out
end

-- Removes leases. `jobs` are their lease keys.
local function drop_leases(P, run, jobs)
  redis.call('HDEL', run, unpack(jobs))
  redis.call('HDEL', P .. 'holders', unpack(jobs))
end

local function held_count(run)
  local count = redis.call('HLEN', run)
  return count > 0 and redis.call('HEXISTS', run, SENTINEL) == 1 and count - 1 or count
end

-- The node that holds the job now, or false.
local function runner_of(P, job)
  for _, node in ipairs(redis.call('ZRANGE', P .. 'nodes', 0, -1)) do
    if redis.call('HEXISTS', P .. 'run:' .. node, job) == 1 then return node end
  end
  return false
end

-- Failures and crashes of a job, stored as 'failures:crashes' when there are any.
local function tries_of(P, job)
  local text = redis.call('HGET', P .. 'tries', job)
  if not text then return 0, 0 end
  local f, c = string.match(text, '^(%d+):(%d+)$')
  return tonumber(f) or 0, tonumber(c) or 0
end

-- Side records: values about a job in addition to its record, removed when the job ends. Most jobs have none, so each
-- call checks once which of the hashes exist.
local function side_records(P)
  return {
    tries = exists(P, 'tries'), cancel = exists(P, 'cancel'), unique = exists(P, 'unique'),
    progress = exists(P, 'progress'), waiters = exists(P, 'waiters'),
  }
end
-- Removes the side records of a job that has ended in a state, and notifies the clients that wait for its end.
local function remove_side_records(P, has, job, code)
  if has.tries then redis.call('HDEL', P .. 'tries', job) end
  if has.progress then redis.call('HDEL', P .. 'progress', job) end
  if has.cancel and redis.call('HDEL', P .. 'cancel', job) == 1 then
    redis.call('SREM', P .. 'cancelling', job)
  end
  -- An unresolved job may run again, so it keeps its unique key.
  local unique = has.unique and code ~= 'u' and redis.call('HGET', P .. 'unique', job)
  if unique then
    redis.call('HDEL', P .. 'unique', job)
    redis.call('HDEL', P .. 'w:' .. string.sub(unique, 17) .. ':u', string.sub(unique, 1, 16))
  end
  if has.waiters and redis.call('ZREM', P .. 'waiters', job) == 1 then
    redis.call('RPUSH', P .. 'done:' .. job, code)
    redis.call('PEXPIRE', P .. 'done:' .. job, 60000)
  end
end
