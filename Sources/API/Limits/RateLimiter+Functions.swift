internal import Redis

extension RateLimiter {
    /// The limit's server-side function. Its names carry a digest of its text, so that two builds can share a Redis.
    struct Functions: Sendable {
        let library: RedisFunctionLibrary
        /// The function's name.
        let take: String

        /// `now` is Lua for the time in milliseconds.
        init(now: String) {
            let text = Self.text.replacing("@NOW@", with: now)
            let version = "2_" + RedisFunctionLibrary.digest(of: text)
            self.take = "orclimit_\(version)_take"
            self.library = RedisFunctionLibrary(
                name: "orchestra_limit_\(version)", source: text.replacing("@TAKE@", with: self.take))
        }

        private static let text = #"""
            local function redis_ms()
              local t = redis.call('TIME')
              return t[1] * 1000 + math.floor(t[2] / 1000)
            end

            -- limit, period in ms, wanted, returned, their bucket
            -- -> granted, remaining, ms until there is room, ms until the oldest request no longer counts, bucket,
            --    ms until the bucket ends
            redis.register_function{function_name='@TAKE@', callback=function(keys, args)
              local limit, period, wanted = tonumber(args[1]), tonumber(args[2]), tonumber(args[3])
              local now = @NOW@
              local width = math.ceil(period / 60)
              -- Together with the current one these cover every window of one period that ends now.
              local whole = math.ceil(period / width)
              local bucket = math.floor(now / width)
              local used, counts, order = 0, {}, {}
              local flat = redis.call('HGETALL', keys[1])
              for i = 1, #flat, 2 do
                local index, count = tonumber(flat[i]), tonumber(flat[i + 1])
                if args[5] == flat[i] then
                  count = math.max(0, count - tonumber(args[4]))
                  redis.call('HSET', keys[1], flat[i], count)
                end
                -- A replica's clock may be a little behind; what is far ahead is not of this clock.
                if count == 0 or math.abs(bucket - index) > whole then
                  redis.call('HDEL', keys[1], flat[i])
                else
                  used = used + count
                  counts[index] = count
                  order[#order + 1] = index
                end
              end
              table.sort(order)
              local room = limit - used
              local granted = math.max(0, math.min(wanted, room))
              if granted > 0 then
                redis.call('HSET', keys[1], string.format('%d', bucket), (counts[bucket] or 0) + granted)
              end
              redis.call('PEXPIRE', keys[1], period + 2 * width)
              local function end_of(index) return (index + whole + 1) * width - now end
              local wait = 0
              if granted == 0 then
                local freed = 0
                for _, index in ipairs(order) do
                  freed = freed + counts[index]
                  wait = math.max(1, end_of(index))
                  if room + freed >= 1 then break end
                end
              end
              local reset = math.min(period, end_of(order[1] or bucket))
              return {granted, math.max(0, room - granted), wait, reset, bucket, (bucket + 1) * width - now}
            end}
            """#
    }
}
