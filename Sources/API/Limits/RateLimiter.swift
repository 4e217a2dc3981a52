internal import Cryptography
internal import Domain
package import Redis
internal import Synchronization

/// What the limit says of one request.
package struct RateVerdict: Sendable, Hashable {
    package let isAllowed: Bool
    package let limit: Int
    package let remaining: Int
    /// Seconds until there is room again.
    package let reset: Int
    /// Seconds.
    package let period: Int
}

/// Counts requests over all nodes: a window that slides, kept in Redis, asked for few at a time.
///
/// A node takes a hundredth of a limit at once and gives it out itself, and remembers a refusal until there is room: so
/// a hundred a minute are a hundred, and thousands a second cost few calls.
package final class RateLimiter: Sendable {
    private struct Share {
        /// Requests that were counted in Redis already and not yet made.
        var left: Int
        let until: ContinuousClock.Instant
        var remaining: Int
        let reset: Int
    }

    private let client: RedisClient
    private let prefix: String
    private let clock: @Sendable () -> ContinuousClock.Instant
    private let shares = Mutex<[String: Share]>([:])

    private static let capacity = 10_000
    /// A share that was taken and not used is lost after this.
    private static let shareLife = Duration.seconds(1)

    /// `prefix` begins the names of all keys.
    package init(
        client: RedisClient, prefix: String, clock: @escaping @Sendable () -> ContinuousClock.Instant = { .now }
    ) {
        self.client = client
        self.prefix = prefix
        self.clock = clock
    }

    /// Counts one request of `name`; throws when Redis cannot be asked, and then nothing may be concluded.
    package func take(_ name: String, _ rate: APIConfiguration.Rate) async throws -> RateVerdict {
        let time = self.clock()
        if let verdict = self.fromShare(name, rate, at: time) { return verdict }
        let wanted = max(1, rate.count / 100)
        let key = self.prefix + Hexadecimal.text(of: try Digests.sha256(Array(name.utf8)).prefix(12))
        var call = RedisCommand.functionCall("orclimit_1_take", key: key)
        call.append(rate.count)
        call.append(rate.period * 1000)
        call.append(wanted)
        guard let reply = try await Self.library.call([call], on: self.client, timeout: .seconds(2)).first else {
            throw CryptographyError(code: .libraryFailure, message: "the limit's function gave no answer")
        }
        let numbers = try reply.checked().elements.compactMap(\.integer)
        guard numbers.count == 3 else {
            throw CryptographyError(code: .libraryFailure, message: "the limit's function gave another answer")
        }
        let (granted, remaining, wait) = (numbers[0], numbers[1], numbers[2])
        let reset = (wait + 999) / 1000
        self.shares.withLock { shares in
            if shares.count >= Self.capacity { shares = shares.filter { $0.value.until > time } }
            if shares.count >= Self.capacity { shares = [:] }
            // Two callers may both have asked: what each was granted adds up.
            let earlier = shares[name].map { $0.until > time ? max(0, $0.left) : 0 } ?? 0
            let life = granted > 0 ? Self.shareLife : Duration.milliseconds(min(wait, 1000))
            shares[name] = Share(
                left: max(0, granted - 1) + earlier, until: time + life, remaining: remaining, reset: reset)
        }
        return RateVerdict(
            isAllowed: granted > 0, limit: rate.count, remaining: remaining, reset: reset, period: rate.period)
    }

    private func fromShare(
        _ name: String, _ rate: APIConfiguration.Rate, at time: ContinuousClock.Instant
    ) -> RateVerdict? {
        self.shares.withLock { shares in
            guard var share = shares[name], share.until > time else { return nil }
            if share.left > 0 {
                share.left -= 1
                shares[name] = share
                return RateVerdict(
                    isAllowed: true, limit: rate.count, remaining: share.remaining + share.left, reset: share.reset,
                    period: rate.period)
            }
            // Only a refusal is remembered; a share that was used up is followed by another.
            guard share.remaining == 0 else { return nil }
            return RateVerdict(
                isAllowed: false, limit: rate.count, remaining: 0, reset: share.reset, period: rate.period)
        }
    }

    /// A sliding window: what the last window counted weighs as much as of it still lies within a period from now.
    private static let library = RedisFunctionLibrary(
        name: "orchestra_limit_1",
        source: #"""
            -- limit, period in ms, wanted -> granted, remaining, ms until there is room
            redis.register_function{function_name='orclimit_1_take', callback=function(keys, args)
              local limit, period, wanted = tonumber(args[1]), tonumber(args[2]), tonumber(args[3])
              local t = redis.call('TIME')
              local now = t[1] * 1000 + math.floor(t[2] / 1000)
              local h = redis.call('HMGET', keys[1], 's', 'c', 'p')
              local start, count, before = tonumber(h[1] or now), tonumber(h[2] or 0), tonumber(h[3] or 0)
              if now - start >= 2 * period or now < start then
                start, count, before = now, 0, 0
              elseif now - start >= period then
                start, count, before = start + period, 0, count
              end
              local weight = before * (1 - (now - start) / period)
              local room = math.floor(limit - count - weight)
              local granted = math.max(0, math.min(wanted, room))
              redis.call('HSET', keys[1], 's', string.format('%d', start), 'c', count + granted, 'p', before)
              redis.call('PEXPIRE', keys[1], 2 * period)
              local wait = 0
              if granted == 0 then
                -- Until one of the last window's, or all of this one's, have slid out.
                if before > 0 and limit - count >= 1 then
                  wait = math.ceil((1 - (limit - count - 1) / before) * period) - (now - start)
                else
                  wait = start + period - now
                end
                if wait < 1 then wait = 1 end
              end
              return {granted, math.max(0, room - granted), wait}
            end}
            """#)
}
