extension QueueFunctions {
    /// Reading.
    static let inspection = #"""
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
