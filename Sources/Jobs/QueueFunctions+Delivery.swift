extension QueueFunctions {
    /// To the nodes: claims, leases, take-overs, what is due.
    static let delivery = #"""
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
}
