package import Redis

/// The queue's server-side functions. Each is atomic, so that no crash can fall between its steps; each
/// takes one key, the lane's anchor, and touches only keys of that lane's slot. Time is Redis' own.
///
/// `@V@` is the version in every name: two releases can share a Redis while nodes are replaced.
package enum QueueFunctions {
    package static let version = "2"
    package static let library = RedisFunctionLibrary(
        name: "orchestra_\(version)",
        source: (common + submission + delivery + completion + intervention + inspection).replacingVersion())

    static func name(_ function: String) -> String { "orc\(self.version)_\(function)" }

    private static let common = #"""
        local BUCKET_MS = 600000

        local function now_ms()
          local t = redis.call('TIME')
          return tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
        end

        -- 'orc:{l0}:lane' -> 'orc:{l0}:'
        local function prefix(keys) return string.sub(keys[1], 1, -5) end

        -- A job's record lies in the bucket of the time that its id carries.
        local function record_key(P, ws, job)
          local a, b, c, d, e, f = string.byte(job, 1, 6)
          local ms = ((((a * 256 + b) * 256 + c) * 256 + d) * 256 + e) * 256 + f
          return P .. 'w:' .. ws .. ':r:' .. string.format('%d', math.floor(ms / BUCKET_MS))
        end

        -- Records are collected by bucket and written with one command a bucket: many fields a command is what
        -- Redis does cheapest.
        local function put_record(batch, P, ws, job, record)
          local key = record_key(P, ws, job)
          local fields = batch[key]
          if not fields then
            fields = {}
            batch[key] = fields
          end
          fields[#fields + 1] = job
          fields[#fields + 1] = cmsgpack.pack(record)
        end

        local function write_records(batch, retention)
          for key, fields in pairs(batch) do
            redis.call('HSET', key, unpack(fields))
            -- A bucket that holds no more than this is new and has no expiry yet.
            if redis.call('HLEN', key) <= #fields / 2 then redis.call('PEXPIRE', key, retention + BUCKET_MS) end
          end
        end

        local function get_record(P, ws, job)
          local packed = redis.call('HGET', record_key(P, ws, job), job)
          return packed and cmsgpack.unpack(packed) or nil
        end

        -- Puts a stream in line for its turn; idle nodes hear the bell when the line was empty of it.
        local function mark_ready(P, stream)
          if redis.call('ZADD', P .. 'ready', 'NX', redis.call('INCR', P .. 'turn'), stream) == 1 then
            redis.call('XADD', P .. 'bell', 'MAXLEN', '~', '64', '*', 's', '1')
          end
        end

        local function workspace_of(P, stream)
          return string.match(string.sub(stream, #P + 1), '^w:([^:]+):s:')
        end

        local function fields_of(entry)
          local fields = {}
          for i = 1, #entry[2], 2 do fields[entry[2][i]] = entry[2][i + 1] end
          return fields
        end

        local function split_token(token)
          return string.match(token, '^([^|]*)|([^|]*)|([^|]*)$')
        end

        -- Nil when this incarnation holds the node's name, else the error to answer.
        local function not_current(P, node, inc)
          local current = redis.call('HGET', P .. 'node:' .. node, 'inc')
          if current == inc then return nil end
          if not current then return redis.error_reply('ORCGONE this Redis does not know the node; it must join again') end
          return redis.error_reply('ORCSTALE this node was replaced by a newer incarnation')
        end

        -- At maxmemory Redis refuses what may need memory; only new submissions may be refused then, because the
        -- rest is what frees it.
        local function register(name, flags, callback)
          redis.register_function{function_name = 'orc@V@_' .. name, callback = callback, flags = flags}
        end
        local DRAIN = {'allow-oom'}
        local READ = {'no-writes'}

        -- Redis keeps a small hash as a list that it searches from the front: with 512 leases that was a fifth of
        -- all its work. One value beyond 64 bytes makes it a table for good (hash-max-listpack-value).
        local SENTINEL = '_'
        local SENTINEL_VALUE = '.................................................................'

        -- Lease keys and tokens of a running hash, in turn.
        local function leases_of(run)
          local all, out = redis.call('HGETALL', run), {}
          for i = 1, #all, 2 do
            if all[i] ~= SENTINEL then
              out[#out + 1] = all[i]
              out[#out + 1] = all[i + 1]
            end
          end
          return out
        end

        local function held_count(run)
          local count = redis.call('HLEN', run)
          return count > 0 and redis.call('HEXISTS', run, SENTINEL) == 1 and count - 1 or count
        end

        -- The node that runs the job now, or false.
        local function runner_of(P, job)
          for _, node in ipairs(redis.call('ZRANGE', P .. 'nodes', 0, -1)) do
            if redis.call('HEXISTS', P .. 'run:' .. node, job) == 1 then return node end
          end
          return false
        end

        -- Tells those who wait for the job's end.
        local function tell_waiters(P, job, state)
          if redis.call('ZREM', P .. 'waiters', job) == 1 then
            redis.call('RPUSH', P .. 'done:' .. job, state)
            redis.call('PEXPIRE', P .. 'done:' .. job, 60000)
          end
        end

        -- 'failures:crashes' of a job that had any.
        local function tries_of(P, job)
          local text = redis.call('HGET', P .. 'tries', job)
          if not text then return 0, 0 end
          local f, c = string.match(text, '^(%d+):(%d+)$')
          return tonumber(f) or 0, tonumber(c) or 0
        end

        """#

    private static let submission = #"""
        -- retention, idempotency ttl, stream limit; then for each request:
        -- workspace, job id, request digest, params digest, action, priority, envelope, audit event, not before (ms,
        -- 0: now; below 10^11 it is a delay, else a time)
        -- -> for each: 0 accepted | 1 duplicate | 2 conflict | 3 full, job id, state
        register('submit', {}, function(keys, args)
          local P = prefix(keys)
          local now = now_ms()
          local retention, ttl, limit = tonumber(args[1]), tonumber(args[2]), tonumber(args[3])
          local out, audit, records, newest, fresh, ready, later = {}, {}, {}, {}, {}, {}, {}
          for i = 4, #args, 9 do
            local ws, job, request, params = args[i], args[i + 1], args[i + 2], args[i + 3]
            local idem = P .. 'w:' .. ws .. ':i:' .. request
            local prior = redis.call('GET', idem)
            if prior then
              local first = string.sub(prior, 1, 16)
              if string.sub(prior, 17) == params then
                local record = not fresh[first] and get_record(P, ws, first)
                out[#out + 1] = {1, first, fresh[first] or record and record[1] or 'unknown'}
              else
                out[#out + 1] = {2, first, ''}
              end
            else
              local stream = P .. 'w:' .. ws .. ':s:' .. args[i + 5]
              if redis.call('XLEN', stream) >= limit then
                out[#out + 1] = {3, job, ''}
              else
                local time = tonumber(args[i + 8])
                if time > 0 and time < 100000000000 then time = now + time end
                local state = time > now and 'scheduled' or 'available'
                redis.call('SET', idem, job .. params, 'PX', ttl + math.max(0, time - now))
                put_record(records, P, ws, job, {state, args[i + 4], now, 0, 0, 0, 0, '', '', ''})
                if state == 'scheduled' then
                  local key = record_key(P, ws, job)
                  later[key] = math.max(later[key] or 0, time)
                  redis.call('ZADD', P .. 'due', time, stream .. '|' .. job .. args[i + 6])
                else
                  redis.call('XADD', stream, '*', 'j', job, 'e', args[i + 6])
                  ready[stream] = true
                end
                local list = P .. 'w:' .. ws .. ':n'
                newest[list] = newest[list] or {}
                table.insert(newest[list], job)
                fresh[job] = state
                audit[#audit + 1] = 'e'
                audit[#audit + 1] = args[i + 7]
                out[#out + 1] = {0, job, state}
              end
            end
          end
          write_records(records, retention)
          for key, time in pairs(later) do
            -- A job that waits for days has its record until it has run and been kept.
            redis.call('PEXPIRE', key, time - now + retention + BUCKET_MS, 'GT')
          end
          for list, jobs in pairs(newest) do
            if redis.call('LPUSH', list, unpack(jobs)) > 11000 then redis.call('LTRIM', list, 0, 9999) end
          end
          for stream in pairs(ready) do mark_ready(P, stream) end
          if #audit > 0 then redis.call('XADD', P .. 'audit', '*', unpack(audit)) end
          return out
        end)

        """#

    private static let delivery = #"""
        -- The entries that nobody has cancelled. Of the others the entry goes; one whose cancellation could not be
        -- told to its node in time ends here.
        local function drop_cancelled(P, stream, entries)
          local left = {}
          for _, entry in ipairs(entries) do
            local job = fields_of(entry)['j'] or ''
            local cancelled = redis.call('HGET', P .. 'cancel', job)
            if not cancelled then
              left[#left + 1] = entry
            else
              redis.call('XACK', stream, 'workers', entry[1])
              redis.call('XDEL', stream, entry[1])
              redis.call('HDEL', P .. 'cancel', job)
              redis.call('SREM', P .. 'cancelling', job)
              redis.call('HDEL', P .. 'tries', job)
              if cancelled ~= '' then
                local ws = workspace_of(P, stream)
                local r = get_record(P, ws, job)
                if r then
                  r[1], r[5], r[9] = 'cancelled', now_ms(), 'cancelled: user'
                  redis.call('HSET', record_key(P, ws, job), job, cmsgpack.pack(r))
                end
                redis.call('XADD', P .. 'audit', '*', 'e', cancelled)
                tell_waiters(P, job, 'cancelled')
              end
            end
          end
          return left
        end

        -- Deliveries as the client reads them: stream, job id, lease key, token, envelope, failures, crashes.
        -- The lease's key is the job id; an entry that repeats one that is held gets a key of its own.
        local function deliver(P, run, inc, stream, entries, has_tries, out)
          if redis.call('EXISTS', P .. 'cancel') == 1 then entries = drop_cancelled(P, stream, entries) end
          if #entries == 0 then return end
          local leases, jobs, envelopes = {}, {}, {}
          for i, entry in ipairs(entries) do
            local fields = fields_of(entry)
            jobs[i], envelopes[i] = fields['j'] or '', fields['e'] or ''
            leases[i] = #jobs[i] == 16 and jobs[i] or entry[1]
          end
          local known = redis.call('HMGET', run, unpack(leases))
          local seen, held = {}, {}
          for i, entry in ipairs(entries) do
            local lease = leases[i]
            if known[i] or seen[lease] then lease = entry[1] end
            seen[lease] = true
            local token = inc .. '|' .. stream .. '|' .. entry[1]
            held[#held + 1] = lease
            held[#held + 1] = token
            local f, c = 0, 0
            if has_tries then f, c = tries_of(P, jobs[i]) end
            out[#out + 1] = {stream, jobs[i], lease, token, envelopes[i], f, c}
          end
          redis.call('HSET', run, unpack(held))
        end

        local function read_group(stream, node, count)
          local reply = redis.pcall('XREADGROUP', 'GROUP', 'workers', node, 'COUNT', count, 'STREAMS', stream, '>')
          if type(reply) == 'table' and reply.err then
            if not string.find(reply.err, 'NOGROUP', 1, true) then return nil, reply.err end
            -- From the first entry on: a group that is made anew must not skip what was accepted.
            redis.call('XGROUP', 'CREATE', stream, 'workers', '0', 'MKSTREAM')
            reply = redis.call('XREADGROUP', 'GROUP', 'workers', node, 'COUNT', count, 'STREAMS', stream, '>')
          end
          return reply and reply[1] and reply[1][2] or {}
        end

        -- node, incarnation, most, most of one stream, most of one workspace, then pairs of a workspace and what
        -- this node holds of it -> deliveries, streams in turn
        register('claim', DRAIN, function(keys, args)
          local P = prefix(keys)
          local node, inc, most, quantum = args[1], args[2], tonumber(args[3]), tonumber(args[4])
          local refusal = not_current(P, node, inc)
          if refusal then return refusal end
          local run = P .. 'run:' .. node
          local has_tries = redis.call('EXISTS', P .. 'tries') == 1
          local share, held, out = tonumber(args[5]), {}, {}
          for i = 6, #args, 2 do held[args[i]] = tonumber(args[i + 1]) end
          local line = redis.call('ZRANGE', P .. 'ready', 0, 255)
          if #line == 1 then quantum = most end  -- nobody else waits for a turn
          local function take(stream, ws, want)
            if want <= 0 then return 0 end
            local entries, problem = read_group(stream, node, want)
            if problem then return 0, problem end
            local before = #out
            deliver(P, run, inc, stream, entries, has_tries, out)
            held[ws] = (held[ws] or 0) + #out - before
            if #entries < want then
              redis.call('ZREM', P .. 'ready', stream)
              redis.call('HDEL', P .. 'passed', stream)
            else
              redis.call('ZADD', P .. 'ready', redis.call('INCR', P .. 'turn'), stream)
            end
            return #entries
          end
          for _, stream in ipairs(line) do
            if #out >= most then break end
            local ws = workspace_of(P, stream)
            local want = math.min(most - #out, quantum, share - (held[ws] or 0))
            local priority = tonumber(string.sub(stream, -1))
            -- The workspace's turn goes to what it holds most urgent. A stream that was passed over eight times gets
            -- one entry of its own first, so that it is never forgotten.
            local own = 0
            for urgent = 1, priority - 1 do
              local other = string.sub(stream, 1, -2) .. urgent
              if want > own and redis.call('ZSCORE', P .. 'ready', other) then
                if own == 0 and redis.call('HINCRBY', P .. 'passed', stream, 1) > 8 then
                  redis.call('HDEL', P .. 'passed', stream)
                  own = 1
                end
                local taken, problem = take(other, ws, want - own)
                if problem then return redis.error_reply(problem) end
                want = want - taken
              end
            end
            -- A workspace that has its share keeps its place in line; it must not take the others' slots.
            if want > 0 then
              local _, problem = take(stream, ws, want)
              if problem then return redis.error_reply(problem) end
            end
          end
          return out
        end)

        -- node, incarnation, owner, lease -> deliveries that an earlier life of this node held
        register('join', DRAIN, function(keys, args)
          local P = prefix(keys)
          local node, inc, owner, lease = args[1], args[2], args[3], tonumber(args[4])
          local now = now_ms()
          local before = redis.call('HGET', P .. 'node:' .. node, 'owner')
          local expiry = tonumber(redis.call('ZSCORE', P .. 'nodes', node) or 0)
          if before and before ~= owner and expiry > now then
            return redis.error_reply('ORCBUSY another machine runs a node of this name')
          end
          redis.call('HSET', P .. 'node:' .. node, 'inc', inc, 'owner', owner)
          redis.call('ZADD', P .. 'nodes', now + lease, node)
          local run = P .. 'run:' .. node
          redis.call('HSET', run, SENTINEL, SENTINEL_VALUE)
          local held = leases_of(run)
          local out = {}
          for i = 1, #held, 2 do
            redis.call('HDEL', run, held[i])
            local before_inc, stream, id = split_token(held[i + 1])
            local entries = stream and redis.call('XRANGE', stream, id, id) or {}
            if #entries == 1 then
              local job = held[i]
              -- A join that is sent again, because its answer was lost, is no second death.
              if #job == 16 and before_inc ~= inc then
                local f, c = tries_of(P, job)
                redis.call('HSET', P .. 'tries', job, f .. ':' .. (c + 1))
              end
              deliver(P, run, inc, stream, entries, true, out)
            end
          end
          return out
        end)

        -- What this incarnation holds, so that a claim whose answer was lost loses nothing.
        -- node, incarnation -> deliveries
        register('held', DRAIN, function(keys, args)
          local P = prefix(keys)
          local refusal = not_current(P, args[1], args[2])
          if refusal then return refusal end
          local held = leases_of(P .. 'run:' .. args[1])
          local out = {}
          for i = 1, #held, 2 do
            local _, stream, id = split_token(held[i + 1])
            local entries = stream and redis.call('XRANGE', stream, id, id) or {}
            if #entries == 1 then
              local fields = fields_of(entries[1])
              local job = fields['j'] or ''
              local f, c = tries_of(P, job)
              out[#out + 1] = {stream, job, held[i], held[i + 1], fields['e'] or '', f, c}
            else
              redis.call('HDEL', P .. 'run:' .. args[1], held[i])
            end
          end
          return out
        end)

        -- node, incarnation, lease -> names of nodes whose lease is over, jobs of this node that are to be cancelled
        -- (it was told; should it not have heard, it does now)
        register('renew', DRAIN, function(keys, args)
          local P = prefix(keys)
          local refusal = not_current(P, args[1], args[2])
          if refusal then return refusal end
          local now = now_ms()
          redis.call('ZADD', P .. 'nodes', now + tonumber(args[3]), args[1])
          local cancelled = {}
          for _, job in ipairs(redis.call('SMEMBERS', P .. 'cancelling')) do
            if redis.call('HEXISTS', P .. 'run:' .. args[1], job) == 1 then cancelled[#cancelled + 1] = job end
          end
          return {redis.call('ZRANGEBYSCORE', P .. 'nodes', '-inf', '(' .. now, 'LIMIT', 0, 16), cancelled}
        end)

        -- Puts what a dead node held back in line, at most `most` entries a call.
        -- dead node, most -> how many were put back
        register('rescue', DRAIN, function(keys, args)
          local P = prefix(keys)
          local dead = args[1]
          local expiry = tonumber(redis.call('ZSCORE', P .. 'nodes', dead) or 0)
          if expiry == 0 or expiry > now_ms() then return 0 end
          local run = P .. 'run:' .. dead
          local moved = 0
          local held = leases_of(run)
          for i = 1, #held, 2 do
            if moved >= tonumber(args[2]) then return moved end
            local lease = held[i]
            local _, stream, id = split_token(held[i + 1])
            local entries = stream and redis.call('XRANGE', stream, id, id) or {}
            redis.call('HDEL', run, lease)
            if #entries == 1 then
              redis.call('XADD', stream, '*', unpack(entries[1][2]))
              redis.call('XACK', stream, 'workers', id)
              redis.call('XDEL', stream, id)
              if #lease == 16 then
                local f, c = tries_of(P, lease)
                redis.call('HSET', P .. 'tries', lease, f .. ':' .. (c + 1))
              end
              mark_ready(P, stream)
              moved = moved + 1
            end
          end
          redis.call('ZREM', P .. 'nodes', dead)
          redis.call('DEL', P .. 'node:' .. dead, run)
          return moved
        end)

        -- Leaves the line of nodes at the end of a drain; nothing may be held any more.
        register('leave', DRAIN, function(keys, args)
          local P = prefix(keys)
          if not_current(P, args[1], args[2]) then return 0 end
          local run = P .. 'run:' .. args[1]
          if held_count(run) > 0 then return 0 end
          redis.call('ZREM', P .. 'nodes', args[1])
          redis.call('DEL', P .. 'node:' .. args[1], run)
          return 1
        end)

        -- Puts jobs whose time has come in line. most -> count moved, next due time or 0
        register('due', DRAIN, function(keys, args)
          local P = prefix(keys)
          local due = redis.call('ZRANGEBYSCORE', P .. 'due', '-inf', now_ms(), 'LIMIT', 0, tonumber(args[1]))
          for _, member in ipairs(due) do
            local bar = string.find(member, '|', 1, true)
            local stream = string.sub(member, 1, bar - 1)
            local job = string.sub(member, bar + 1, bar + 16)
            redis.call('XADD', stream, '*', 'j', job, 'e', string.sub(member, bar + 17))
            local ws = workspace_of(P, stream)
            local r = get_record(P, ws, job)
            if r and (r[1] == 'scheduled' or r[1] == 'retryable') then
              r[1] = 'available'
              redis.call('HSET', record_key(P, ws, job), job, cmsgpack.pack(r))
            end
            redis.call('ZREM', P .. 'due', member)
            mark_ready(P, stream)
          end
          local first = redis.call('ZRANGE', P .. 'due', 0, 0, 'WITHSCORES')
          return {#due, first[2] and tonumber(first[2]) or 0}
        end)

        """#

    private static let completion = #"""
        -- node, retention; then for each job:
        -- lease key, token, job id, state, action, submitted, started, failures, crashes, reason, result,
        -- audit event, retry delay, envelope -> for each: 1 written | 0 fenced
        register('finish', DRAIN, function(keys, args)
          local P = prefix(keys)
          local node, retention = args[1], tonumber(args[2])
          local run = P .. 'run:' .. node
          local now = now_ms()
          local out, audit, acknowledged, order, records, done, ready = {}, {}, {}, {}, {}, {}, {}
          local is_watched = redis.call('EXISTS', P .. 'waiters') == 1
          local has_tries = redis.call('EXISTS', P .. 'tries') == 1
          local has_cancels = redis.call('EXISTS', P .. 'cancel') == 1
          local leases = {}
          for i = 3, #args, 14 do leases[#leases + 1] = args[i] end
          local tokens = redis.call('HMGET', run, unpack(leases))
          for n, lease in ipairs(leases) do
            local i = 3 + (n - 1) * 14
            local token, job, state = args[i + 1], args[i + 2], args[i + 3]
            if tokens[n] ~= token or done[lease] then
              out[n] = 0
            else
              out[n] = 1
              done[lease] = true
              done[#done + 1] = lease
              local _, stream, id = split_token(token)
              local ws = workspace_of(P, stream)
              if not acknowledged[stream] then
                acknowledged[stream] = {}
                order[#order + 1] = stream
              end
              table.insert(acknowledged[stream], id)
              local failures, crashes = tonumber(args[i + 7]), tonumber(args[i + 8])
              if state == 'available' then
                redis.call('XADD', stream, '*', 'j', job, 'e', args[i + 13])
                ready[stream] = true
              elseif state == 'retryable' then
                redis.call('HSET', P .. 'tries', job, failures .. ':' .. crashes)
                redis.call('ZADD', P .. 'due', now + tonumber(args[i + 12]), stream .. '|' .. job .. args[i + 13])
              else
                if has_tries then redis.call('HDEL', P .. 'tries', job) end
                if has_cancels and redis.call('HDEL', P .. 'cancel', job) == 1 then
                  redis.call('SREM', P .. 'cancelling', job)
                end
                if state == 'discarded' then
                  local letter = redis.call('XADD', P .. 'w:' .. ws .. ':dead', '*', 'j', job, 'a', args[i + 4],
                    'r', args[i + 9], 'o', args[i + 10], 'e', args[i + 13], 's', string.sub(stream, -1))
                  -- So that one is found without reading all.
                  if #job == 16 then redis.call('HSET', P .. 'w:' .. ws .. ':d', job, letter) end
                end
              end
              if #job == 16 then
                local ended = (state == 'retryable' or state == 'available') and 0 or now
                put_record(records, P, ws, job, {state, args[i + 4], tonumber(args[i + 5]), tonumber(args[i + 6]), ended,
                  failures, crashes, node, args[i + 9], args[i + 10]})
                if is_watched and ended > 0 then tell_waiters(P, job, state) end
              end
              if #args[i + 11] > 0 then
                audit[#audit + 1] = 'e'
                audit[#audit + 1] = args[i + 11]
              end
            end
          end
          if #done > 0 then redis.call('HDEL', run, unpack(done)) end
          write_records(records, retention)
          for stream in pairs(ready) do mark_ready(P, stream) end
          for _, stream in ipairs(order) do
            redis.call('XACK', stream, 'workers', unpack(acknowledged[stream]))
            redis.call('XDEL', stream, unpack(acknowledged[stream]))
          end
          if #audit > 0 then redis.call('XADD', P .. 'audit', '*', unpack(audit)) end
          return out
        end)

        """#

    private static let intervention = #"""
        -- workspace, job id, event of the request, event of the outcome
        -- -> state before ('running': its node is told), or false when there is no such job
        register('cancel', DRAIN, function(keys, args)
          local P = prefix(keys)
          local ws, job = args[1], args[2]
          local r = get_record(P, ws, job)
          if not r then return false end
          local state = r[1]
          if state == 'completed' or state == 'cancelled' or state == 'discarded' then return state end
          redis.call('XADD', P .. 'audit', '*', 'e', args[3])
          if runner_of(P, job) then
            -- Its node ends the run and writes the outcome; should it die first, whoever delivers it next does.
            redis.call('HSET', P .. 'cancel', job, args[4])
            redis.call('SADD', P .. 'cancelling', job)
            redis.call('XADD', P .. 'control', 'MAXLEN', '~', '1024', '*', 'c', job)
            return 'running'
          end
          -- The entry stays where it is, unread: to delete it would spoil the stream's lag. It is dropped when its
          -- turn comes.
          redis.call('HSET', P .. 'cancel', job, '')
          r[1], r[5], r[9] = 'cancelled', now_ms(), 'cancelled: user'
          redis.call('HSET', record_key(P, ws, job), job, cmsgpack.pack(r))
          redis.call('XADD', P .. 'audit', '*', 'e', args[4])
          tell_waiters(P, job, 'cancelled')
          return state
        end)

        local function dead_letter(P, ws, job)
          local id = redis.call('HGET', P .. 'w:' .. ws .. ':d', job)
          local entries = id and redis.call('XRANGE', P .. 'w:' .. ws .. ':dead', id, id) or {}
          if entries[1] then return id, fields_of(entries[1]) end
        end

        local function forget_dead_letter(P, ws, job, id)
          redis.call('XDEL', P .. 'w:' .. ws .. ':dead', id)
          redis.call('HDEL', P .. 'w:' .. ws .. ':d', job)
        end

        -- workspace, most -> dead letters without their output, newest first: job id, action, reason, '', entry id
        register('dead', READ, function(keys, args)
          local P = prefix(keys)
          local out = {}
          for _, entry in ipairs(redis.call('XREVRANGE', P .. 'w:' .. args[1] .. ':dead', '+', '-', 'COUNT', args[2])) do
            local fields = fields_of(entry)
            out[#out + 1] = {fields['j'] or '', fields['a'] or '', fields['r'] or '', '', entry[1]}
          end
          return out
        end)

        -- workspace, job id -> its dead letter as above, with the sealed output, or false
        register('letter', READ, function(keys, args)
          local id, fields = dead_letter(prefix(keys), args[1], args[2])
          return id and {args[2], fields['a'] or '', fields['r'] or '', fields['o'] or '', id} or false
        end)

        -- Puts a dead letter back in line with its tries forgotten. workspace, job id, audit event, retention -> 1 | 0
        register('requeue', {}, function(keys, args)
          local P = prefix(keys)
          local ws, job = args[1], args[2]
          local id, fields = dead_letter(P, ws, job)
          if not id then return 0 end
          local stream = P .. 'w:' .. ws .. ':s:' .. (fields['s'] or '2')
          local r = get_record(P, ws, job) or {'', fields['a'] or '', now_ms(), 0, 0, 0, 0, '', '', ''}
          r[1], r[4], r[5], r[6], r[7], r[8], r[9], r[10] = 'available', 0, 0, 0, 0, '', '', ''
          local records = {}
          put_record(records, P, ws, job, r)
          write_records(records, tonumber(args[4]))
          redis.call('HDEL', P .. 'tries', job)
          redis.call('XADD', stream, '*', 'j', job, 'e', fields['e'])
          forget_dead_letter(P, ws, job, id)
          mark_ready(P, stream)
          redis.call('XADD', P .. 'audit', '*', 'e', args[3])
          return 1
        end)

        -- Lets go of a dead letter. workspace, job id, audit event -> 1 | 0
        register('drop', DRAIN, function(keys, args)
          local P = prefix(keys)
          local id = dead_letter(P, args[1], args[2])
          if not id then return 0 end
          forget_dead_letter(P, args[1], args[2], id)
          redis.call('XADD', P .. 'audit', '*', 'e', args[3])
          return 1
        end)

        """#

    private static let inspection = #"""
        local function shown(P, ws, job)
          local r = get_record(P, ws, job)
          if not r then return false end
          local node = (r[1] == 'available' or r[1] == 'retryable') and runner_of(P, job)
          local f, c = tries_of(P, job)
          return {job, node and 'running' or r[1], r[2], r[3], r[4], r[5], math.max(f, r[6]), math.max(c, r[7]),
            node or r[8], r[9], r[10]}
        end

        -- workspace, job id -> record or false
        register('job', READ, function(keys, args) return shown(prefix(keys), args[1], args[2]) end)

        -- workspace, most -> records, newest first; those past their retention are left out
        register('jobs', READ, function(keys, args)
          local P = prefix(keys)
          local out = {}
          for _, job in ipairs(redis.call('LRANGE', P .. 'w:' .. args[1] .. ':n', 0, tonumber(args[2]) - 1)) do
            local record = shown(P, args[1], job)
            if record then out[#out + 1] = record end
          end
          return out
        end)

        -- Asks to be told at 'done:<job>' when the job ends. workspace, job id -> its state now or false
        register('wait', DRAIN, function(keys, args)
          local P = prefix(keys)
          local now = now_ms()
          redis.call('ZREMRANGEBYSCORE', P .. 'waiters', '-inf', now - 3600000)
          redis.call('ZADD', P .. 'waiters', now, args[2])
          local r = get_record(P, args[1], args[2])
          return r and r[1] or false
        end)

        -- -> waiting entries, age of the oldest in ms, running, delayed
        register('stats', READ, function(keys, args)
          local P = prefix(keys)
          local now = now_ms()
          local waiting, oldest, running = 0, 0, 0
          for _, node in ipairs(redis.call('ZRANGE', P .. 'nodes', 0, -1)) do
            running = running + held_count(P .. 'run:' .. node)
          end
          for _, stream in ipairs(redis.call('ZRANGE', P .. 'ready', 0, 255)) do
            waiting = waiting + redis.call('XLEN', stream)
            local pending = redis.pcall('XPENDING', stream, 'workers')
            if type(pending) == 'table' and not pending.err then waiting = waiting - pending[1] end
            local first = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)
            if first[1] then
              local ms = tonumber(string.match(first[1][1], '^(%d+)-'))
              if now - ms > oldest then oldest = now - ms end
            end
          end
          return {waiting, oldest, running, redis.call('ZCARD', P .. 'due')}
        end)
        """#
}

extension String {
    fileprivate func replacingVersion() -> String {
        self.split(separator: "@V@", omittingEmptySubsequences: false).joined(separator: QueueFunctions.version)
    }
}
