internal import Redis

/// The server-side functions of budgets: each is one atomic step. Their names carry a digest of their text, so that two
/// builds can share a Redis. `BudgetLedger` is their model.
struct BudgetFunctions: Sendable {
    let library: RedisFunctionLibrary
    let reserve: String
    let settle: String

    init() {
        let version = "1_" + RedisFunctionLibrary.digest(of: Self.text)
        self.reserve = "orcbudget_\(version)_reserve"
        self.settle = "orcbudget_\(version)_settle"
        self.library = RedisFunctionLibrary(
            name: "orchestra_budget_\(version)",
            source: Self.text.replacing("@RESERVE@", with: self.reserve).replacing("@SETTLE@", with: self.settle))
    }

    /// Amounts are whole numbers below 2^53, which Lua holds exactly.
    private static let text = #"""
        local function number(value) return tonumber(value or '0') or 0 end
        local function whole(value) return string.format('%.0f', value) end

        -- Ends a reservation: what was used moves from reserved to spent, in full when it is not known.
        -- Returns nil when there is none, else for each limit that reached a share: counter, share, spent, limit, workspace.
        local function finish(P, id, used)
          local text = redis.call('GET', P .. 'r:' .. id)
          if not text then return nil end
          redis.call('DEL', P .. 'r:' .. id)
          redis.call('ZREM', P .. 'leases', id)
          local reached = {}
          for _, hold in ipairs(cjson.decode(text)) do
            local key = P .. 'c:' .. hold.counter
            local fields = redis.call('HMGET', key, 'spent', 'reserved', 'reported')
            local amount, limit = number(hold.amount), number(hold.limit)
            local spent = number(fields[1]) + (used and number(used[hold.unit]) or amount)
            local share = 0
            for _, level in ipairs({80, 95, 100}) do
              if spent >= limit * level / 100 then share = level end
            end
            redis.call('HSET', key, 'spent', whole(spent), 'reserved', whole(math.max(0, number(fields[2]) - amount)))
            redis.call('PEXPIRE', key, hold.keep)
            if share > number(fields[3]) then
              redis.call('HSET', key, 'reported', share)
              for _, part in ipairs({hold.counter, tostring(share), whole(spent), hold.limit, hold.workspace}) do
                table.insert(reached, part)
              end
            end
          end
          return reached
        end

        -- KEYS prefix; id, now, end of the lease, workspace; for each limit: counter, limit, amount, unit, time to keep in ms
        -- Returns {'admitted'} | {'duplicate'} | {'refused', number of the limit from 0, spent, reserved}, and behind each
        -- what finish returned for reservations whose leases have ended.
        redis.register_function{function_name='@RESERVE@', callback=function(keys, args)
          local P, reached = keys[1], {}
          for _, id in ipairs(redis.call('ZRANGEBYSCORE', P .. 'leases', '-inf', args[2], 'LIMIT', 0, 100)) do
            for _, part in ipairs(finish(P, id, nil) or {}) do table.insert(reached, part) end
            redis.call('ZREM', P .. 'leases', id)
          end
          if redis.call('EXISTS', P .. 'r:' .. args[1]) == 1 then return {'duplicate', unpack(reached)} end
          local holds = {}
          for i = 5, #args, 5 do
            local fields = redis.call('HMGET', P .. 'c:' .. args[i], 'spent', 'reserved')
            local used = number(fields[1]) + number(fields[2])
            local limit, amount = number(args[i + 1]), number(args[i + 2])
            if used >= limit or used + amount > limit then
              return {
                'refused', whole((i - 5) / 5), whole(number(fields[1])), whole(number(fields[2])), unpack(reached)}
            end
            table.insert(holds, {
              counter = args[i], limit = args[i + 1], amount = args[i + 2], unit = args[i + 3], keep = args[i + 4],
              workspace = args[4]})
          end
          for _, hold in ipairs(holds) do
            local key = P .. 'c:' .. hold.counter
            redis.call('HSET', key, 'reserved', whole(number(redis.call('HGET', key, 'reserved')) + number(hold.amount)))
            redis.call('PEXPIRE', key, hold.keep)
          end
          redis.call('SET', P .. 'r:' .. args[1], cjson.encode(holds))
          redis.call('ZADD', P .. 'leases', args[3], args[1])
          return {'admitted', unpack(reached)}
        end}

        -- KEYS prefix; id, then units and amounts that were used
        redis.register_function{function_name='@SETTLE@', callback=function(keys, args)
          local used = {}
          for i = 2, #args, 2 do used[args[i]] = args[i + 1] end
          local reached = finish(keys[1], args[1], used)
          return reached and {'settled', unpack(reached)} or {'unknown'}
        end}
        """#
}
