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

/// Counts requests over all nodes: a window that slides, kept in Redis.
///
/// A node that is busy takes several at once and gives them out itself: one more each time as long as it used all up
/// within a moment, a hundredth of the limit at most, and what it did not use goes back with the next question. One that
/// was refused remembers that until there is room. So a hundred a minute are a hundred, and thousands a second cost few
/// calls.
package final class RateLimiter: Sendable {
    private struct Share {
        /// Requests that were counted in Redis already and not yet made.
        var left = 0
        /// How many were taken at once the last time.
        var size = 1
        var takenAt: ContinuousClock.Instant
        /// Until then there is no room.
        var refusedUntil: ContinuousClock.Instant?
        var remaining = 0
        var reset = 0
        /// Whoever comes while Redis is asked waits for that answer.
        var question: Task<Bool, Never>?
    }

    private let client: RedisClient
    private let prefix: String
    private let clock: @Sendable () -> ContinuousClock.Instant
    private let shares = Mutex<[String: Share]>([:])

    private static let capacity = 20_000
    /// A share that is used up sooner is followed by a larger one, one that lasts longer goes back.
    private static let shareLife = Duration.milliseconds(500)

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
        // Each question brings at least one for whoever asked it; the others may have to ask again.
        for _ in 0..<Self.attemptLimit {
            switch self.step(name, rate) {
            case .known(let verdict): return verdict
            case .wait(let question):
                guard await question.value else { throw RateError() }
            }
        }
        throw RateError()
    }

    private static let attemptLimit = 1000

    private enum Step {
        case known(RateVerdict)
        case wait(Task<Bool, Never>)
    }

    private func step(_ name: String, _ rate: APIConfiguration.Rate) -> Step {
        let time = self.clock()
        return self.shares.withLock { shares in
            var share = shares[name] ?? Share(takenAt: time)
            func verdict(_ isAllowed: Bool) -> Step {
                .known(
                    RateVerdict(
                        isAllowed: isAllowed, limit: rate.count,
                        remaining: isAllowed ? share.remaining + share.left : 0,
                        reset: share.reset, period: rate.period))
            }
            if share.left > 0, time - share.takenAt < Self.shareLife {
                share.left -= 1
                shares[name] = share
                return verdict(true)
            }
            if let end = share.refusedUntil, time < end { return verdict(false) }
            if let question = share.question { return .wait(question) }
            if shares.count >= Self.capacity {
                shares = shares.filter { $0.value.question != nil || time - $0.value.takenAt < .seconds(10) }
                // Still too many: what they hold is a hundredth each at most, and is counted as used.
                if shares.count >= Self.capacity { shares = shares.filter { $0.value.question != nil } }
            }
            let question = Task { await self.ask(name, rate) }  // awaited by all who come meanwhile
            share.question = question
            shares[name] = share
            return .wait(question)
        }
    }

    /// Gives back what was left, and takes anew; false when Redis did not answer.
    private func ask(_ name: String, _ rate: APIConfiguration.Rate) async -> Bool {
        let time = self.clock()
        let (wanted, returned) = self.shares.withLock { shares -> (Int, Int) in
            guard var share = shares[name] else { return (1, 0) }
            let isBusy = share.left == 0 && time - share.takenAt < Self.shareLife
            share.size = isBusy ? min(share.size * 2, max(1, rate.count / 100)) : 1
            defer { shares[name] = share }
            let returned = share.left
            share.left = 0
            return (share.size, returned)
        }
        let numbers: [Int]
        do {
            let key = self.prefix + Hexadecimal.text(of: try Digests.sha256(Array(name.utf8)).prefix(12))
            var call = RedisCommand.functionCall("orclimit_1_take", key: key)
            call.append(rate.count)
            call.append(rate.period * 1000)
            call.append(wanted)
            call.append(returned)
            let reply = try await Self.library.call([call], on: self.client, timeout: .seconds(2)).first
            numbers = try reply?.checked().elements.compactMap(\.integer) ?? []
        } catch {
            numbers = []
        }
        let now = self.clock()
        return self.shares.withLock { shares in
            var share = shares[name] ?? Share(takenAt: now)
            share.question = nil
            defer { shares[name] = share }
            guard numbers.count == 4 else { return false }
            share.left = numbers[0]
            share.remaining = numbers[1]
            share.takenAt = now
            share.refusedUntil = numbers[0] > 0 ? nil : now + .milliseconds(min(numbers[2], 1000))
            share.reset = ((numbers[0] > 0 ? numbers[3] : numbers[2]) + 999) / 1000
            return true
        }
    }

    /// A sliding window: what the last window counted weighs as much as of it still lies within a period from now.
    private static let library = RedisFunctionLibrary(
        name: "orchestra_limit_1",
        source: #"""
            -- limit, period in ms, wanted, given back -> granted, remaining, ms until there is room, ms until the window ends
            redis.register_function{function_name='orclimit_1_take', callback=function(keys, args)
              local limit, period, wanted = tonumber(args[1]), tonumber(args[2]), tonumber(args[3])
              local t = redis.call('TIME')
              local now = t[1] * 1000 + math.floor(t[2] / 1000)
              local h = redis.call('HMGET', keys[1], 's', 'c', 'p')
              local start, count, before = tonumber(h[1] or now), tonumber(h[2] or 0), tonumber(h[3] or 0)
              -- A replica's clock may be a little behind; what is far ahead is no window of this clock's.
              if now < start and start - now < period then now = start end
              if now - start >= 2 * period or now < start then
                start, count, before = now, 0, 0
              elseif now - start >= period then
                start, count, before = start + period, 0, count
              end
              count = math.max(0, count - tonumber(args[4]))
              local weight = before * (1 - (now - start) / period)
              local room = math.floor(limit - count - weight)
              local granted = math.max(0, math.min(wanted, room))
              redis.call('HSET', keys[1], 's', string.format('%d', start), 'c', count + granted, 'p', before)
              redis.call('PEXPIRE', keys[1], 2 * period)
              local wait = 0
              if granted == 0 then
                -- Until enough of the last window, or then of this one, has slid out.
                if limit - count >= 1 and before > 0 then
                  wait = math.ceil((1 - (limit - count - 1) / before) * period) - (now - start)
                else
                  wait = start + period - now + math.ceil((1 - (limit - 1) / math.max(count, 1)) * period)
                end
                if wait < 1 then wait = 1 end
              end
              return {granted, math.max(0, room - granted), wait, start + period - now}
            end}
            """#)
}

/// Redis did not say whether there is room.
private struct RateError: Error {}
