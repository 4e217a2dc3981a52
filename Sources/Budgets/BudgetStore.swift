internal import Domain
package import ModelUsage
internal import NIOCore
package import Redis

/// The budgets in Redis, where all nodes share them: limits, what is spent and reserved of each, and the reservations of calls
/// that have not ended. Each call is one atomic step; `BudgetLedger` is the model of their arithmetic.
package struct BudgetStore: Sendable {
    private let client: RedisClient
    private let prefix: String

    /// In the slot of the first lane of the queue.
    package static let standardPrefix = "orc:{l0}:budget:"
    /// The largest limit: above it Lua's numbers are not exact.
    package static let largestAmount: UInt64 = 9_007_199_254_740_991
    /// How long a reservation holds without a settlement. Then it is spent in full.
    package static let lease: UInt64 = 1_800_000

    private static let functions = BudgetFunctions()
    /// Calls wait for it, so that a Redis that hangs refuses them soon.
    private static let timeout = Duration.seconds(2)

    /// `prefix` begins the names of all keys.
    package init(client: RedisClient, prefix: String = Self.standardPrefix) {
        self.client = client
        self.prefix = prefix
    }

    private var limitsKey: String { self.prefix + "limits" }

    // MARK: - Limits

    /// All limits, by their IDs. Throws when Redis does not answer, and `malformedLimit` for one that cannot be read: a limit
    /// that is not understood must not be ignored.
    package func limits() async throws -> [BudgetLimit] {
        let (limits, malformed) = try await self.stored()
        if let first = malformed.first { throw first.error }
        return limits
    }

    /// All limits, and those that cannot be read with the reason; both by their IDs. Throws when Redis does not answer.
    package func stored() async throws -> (
        limits: [BudgetLimit], malformed: [(id: String, error: ModelUsageError)]
    ) {
        let parts = try await self.client.send(RedisCommand("HGETALL", self.limitsKey), timeout: Self.timeout).elements
        var (limits, malformed): ([BudgetLimit], [(id: String, error: ModelUsageError)]) = ([], [])
        for index in stride(from: 0, to: parts.count - 1, by: 2) {
            let id = String(decoding: parts[index].bytes, as: UTF8.self)
            do throws(ModelUsageError) {
                limits.append(try BudgetLimit(id: id, json: Array(parts[index + 1].bytes)))
            } catch {
                malformed.append((id, error))
            }
        }
        return (limits.sorted { $0.id < $1.id }, malformed.sorted { $0.id < $1.id })
    }

    /// Stores a limit in the place of the one with its ID. What is spent stays.
    package func set(_ limit: BudgetLimit) async throws {
        var command = RedisCommand("HSET", self.limitsKey, limit.id)
        command.append(limit.json.bytes)
        _ = try await self.client.send(command)
    }

    /// Removes a limit; false when there is none.
    package func remove(_ id: String) async throws -> Bool {
        try await self.client.send(RedisCommand("HDEL", self.limitsKey, id)).integer == 1
    }

    // MARK: - Calls

    /// Reserves for a call in all limits that cover it, or in none. Also ends reservations whose leases have ended; `reached`
    /// has the shares of limits that this reached. Throws when Redis does not answer; the reservation may exist then, and
    /// `settle` ends it.
    package func reserve(
        id: String, for subject: BudgetSubject, _ amounts: BudgetAmounts, in limits: [BudgetLimit], now: UInt64
    ) async throws -> (decision: BudgetLedger.Decision, reached: [ReachedShare]) {
        let covering = limits.filter { $0.covers(subject) }
        guard !covering.isEmpty else { return (.admitted, []) }
        var call = RedisCommand.functionCall(Self.functions.reserve, key: self.prefix, capacity: 1024)
        call.append(id)
        call.append(now)
        call.append(now + Self.lease)
        call.append(subject.workspace)
        for limit in covering {
            call.append(BudgetLedger.key(of: limit, for: subject, at: now).text)
            call.append(limit.amount)
            call.append(min(amounts[limit.unit], Self.largestAmount))
            call.append(limit.unit.rawValue)
            call.append(limit.window.keepTime)
        }
        let reply = try await self.call(call)
        switch reply.first {
        case "admitted": return (.admitted, Self.shares(reply.dropFirst()))
        case "duplicate": return (.duplicate, Self.shares(reply.dropFirst()))
        default:
            guard reply.count >= 4, let index = Int(reply[1]), covering.indices.contains(index),
                let spent = UInt64(reply[2]), let reserved = UInt64(reply[3])
            else { throw ModelUsageError(code: .malformedLimit, message: "the budget's answer is malformed") }
            let limit = covering[index]
            return (
                .refused(
                    BudgetRefusal(
                        limit: limit, name: subject.name(in: limit.scope), spent: spent, reserved: reserved,
                        requested: amounts[limit.unit], resetsAt: limit.window.end(after: now))),
                Self.shares(reply.dropFirst(4))
            )
        }
    }

    /// Ends a reservation with what the call really used; nothing for one whose request was not sent. Returns the shares that
    /// were reached; nil when there is no such reservation.
    package func settle(id: String, _ actual: BudgetAmounts) async throws -> [ReachedShare]? {
        var call = RedisCommand.functionCall(Self.functions.settle, key: self.prefix, capacity: 512)
        call.append(id)
        for unit in BudgetUnit.allCases {
            call.append(unit.rawValue)
            call.append(min(actual[unit], Self.largestAmount))
        }
        let reply = try await self.call(call)
        return reply.first == "settled" ? Self.shares(reply.dropFirst()) : nil
    }

    /// What is spent and reserved of the limits that cover a subject. Throws when it cannot be read.
    package func status(
        of subject: BudgetSubject, in limits: [BudgetLimit], now: UInt64
    ) async throws -> [(limit: BudgetLimit, spent: UInt64, reserved: UInt64)] {
        var status: [(limit: BudgetLimit, spent: UInt64, reserved: UInt64)] = []
        for limit in limits where limit.covers(subject) {
            let key = self.prefix + "c:" + BudgetLedger.key(of: limit, for: subject, at: now).text
            let fields = try await self.client.send(RedisCommand("HMGET", key, "spent", "reserved")).elements
            let numbers = fields.map { $0.isNull ? 0 : UInt64(String(decoding: $0.bytes, as: UTF8.self)) }
            guard numbers.count == 2, let spent = numbers[0], let reserved = numbers[1] else {
                throw ModelUsageError(
                    code: .malformedLimit, message: "what is spent of the budget '\(limit.id)' cannot be read")
            }
            status.append((limit, spent, reserved))
        }
        return status
    }

    private func call(_ call: RedisCommand) async throws -> [String] {
        let replies = try await Self.functions.library.call([call], on: self.client, timeout: Self.timeout)
        guard let reply = replies.first else { return [] }
        return try reply.checked().elements.map { String(decoding: $0.bytes, as: UTF8.self) }
    }

    private static func shares(_ parts: ArraySlice<String>) -> [ReachedShare] {
        let parts = Array(parts)
        return stride(from: 0, to: parts.count - 4, by: 5).compactMap { index in
            guard let key = BudgetCounter.Key(text: parts[index]), let percent = UInt64(parts[index + 1]),
                let spent = UInt64(parts[index + 2]), let amount = UInt64(parts[index + 3])
            else { return nil }
            return ReachedShare(
                threshold: BudgetThreshold(counter: key, percent: percent, spent: spent, amount: amount),
                workspace: parts[index + 4])
        }
    }
}
