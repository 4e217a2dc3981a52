extension QueueFunctions {
    /// Out of the queue: outcomes.
    static let completion = #"""
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
}
