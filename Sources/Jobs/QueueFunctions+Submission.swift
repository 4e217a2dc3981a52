extension QueueFunctions {
    /// Into the queue.
    static let submission = #"""
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
}
