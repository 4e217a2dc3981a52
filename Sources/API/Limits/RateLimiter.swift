internal import Cryptography
internal import Domain
package import Redis
internal import Synchronization

/// Counts requests over all nodes, in a log that slides.
///
/// The period is divided into 60 buckets, kept in a hash in Redis, and a request counts until the bucket that holds it is
/// a whole period old. So no window of one period ever has more than the limit, whatever came before it, and after a
/// period and one bucket of silence the whole limit is available again. The price is accuracy in one direction: a
/// request may count for up to a sixtieth of the period longer than it should.
///
/// A busy node takes several requests at once, a hundredth of the limit at most, and gives them out itself until their
/// bucket ends (see `RateShare`); what it did not use goes back with its next question. A node that was refused remembers
/// that until there is room, for a second at most. So thousands of requests a second cost few calls.
package final class RateLimiter: Sendable {
    private struct Entry {
        var share: RateShare
        /// The question that is under way; others wait for its answer.
        var question: Task<Bool, Never>?
    }

    private enum Step {
        case known(RateVerdict)
        case wait(Task<Bool, Never>)
    }

    private let client: RedisClient
    private let prefix: String
    private let functions: Functions
    private let clock: @Sendable () -> ContinuousClock.Instant
    private let entries = Mutex<[String: Entry]>([:])

    private static let capacity = 20_000
    /// Each question brings at least one request for the caller that asked it; the others may have to ask again.
    private static let attemptLimit = 1000
    private static let timeout = Duration.seconds(2)

    /// `prefix` begins the names of all keys. `redisTime` is Lua for the time in milliseconds; tests give another.
    package init(
        client: RedisClient, prefix: String, clock: @escaping @Sendable () -> ContinuousClock.Instant = { .now },
        redisTime: String = "redis_ms()"
    ) {
        self.client = client
        self.prefix = prefix
        self.clock = clock
        self.functions = Functions(now: redisTime)
    }

    /// Counts one request of `name`. Throws when Redis does not answer; then nothing is known about the limit.
    package func take(_ name: String, _ rate: APIConfiguration.Rate) async throws -> RateVerdict {
        for _ in 0..<Self.attemptLimit {
            switch self.step(name, rate) {
            case .known(let verdict): return verdict
            case .wait(let question):
                guard await question.value else { throw RateError() }
            }
        }
        throw RateError()
    }

    private func step(_ name: String, _ rate: APIConfiguration.Rate) -> Step {
        let time = self.clock()
        return self.entries.withLock { entries in
            var entry = entries[name] ?? Entry(share: RateShare(at: time))
            if let isAllowed = entry.share.take(at: time) {
                entries[name] = entry
                return .known(
                    RateVerdict(
                        isAllowed: isAllowed, limit: rate.count,
                        remaining: isAllowed ? entry.share.remaining + entry.share.left : 0,
                        reset: (entry.share.reset + 999) / 1000, period: rate.period))
            }
            if let question = entry.question { return .wait(question) }
            Self.makeRoom(in: &entries, at: time)
            let question = Task { await self.ask(name, rate) }  // awaited by every caller that needs its answer
            entry.question = question
            entries[name] = entry
            return .wait(question)
        }
    }

    /// Forgets shares when there are too many; what they hold, a hundredth each at most, stays counted as used.
    private static func makeRoom(in entries: inout [String: Entry], at time: ContinuousClock.Instant) {
        guard entries.count >= Self.capacity else { return }
        entries = entries.filter { $0.value.question != nil || time - $0.value.share.takenAt < .seconds(10) }
        if entries.count >= Self.capacity { entries = entries.filter { $0.value.question != nil } }
    }

    /// Returns what was left and takes again; false when Redis did not answer.
    private func ask(_ name: String, _ rate: APIConfiguration.Rate) async -> Bool {
        let sent = self.clock()
        let question = self.entries.withLock { entries in
            var entry = entries[name] ?? Entry(share: RateShare(at: sent))
            defer { entries[name] = entry }
            return entry.share.question(limit: rate.count, at: sent)
        }
        let grant = await self.grant(question, name, rate)
        let now = self.clock()
        return self.entries.withLock { entries in
            var entry = entries[name] ?? Entry(share: RateShare(at: now))
            entry.question = nil
            if let grant { entry.share.received(grant, sentAt: sent, at: now) }
            entries[name] = entry
            return grant != nil
        }
    }

    /// Nil when Redis did not answer.
    private func grant(
        _ question: RateShare.Question, _ name: String, _ rate: APIConfiguration.Rate
    ) async -> RateShare.Grant? {
        do {
            let hash = Hexadecimal.text(of: try Digests.sha256(Array(name.utf8)).prefix(12))
            var call = RedisCommand.functionCall(self.functions.take, key: self.prefix + "2:" + hash)
            for number in [rate.count, rate.period * 1000, question.wanted, question.returned, question.bucket] {
                call.append(number)
            }
            let reply = try await self.functions.library.call([call], on: self.client, timeout: Self.timeout).first
            let numbers = try reply?.checked().elements.compactMap(\.integer) ?? []
            guard numbers.count == 6 else { return nil }
            return RateShare.Grant(
                granted: numbers[0], remaining: numbers[1], wait: numbers[2], reset: numbers[3], bucket: numbers[4],
                bucketEnd: numbers[5])
        } catch {
            // The caller answers 503 and says so; what failed is in the Redis client's log and metrics.
            return nil
        }
    }
}
