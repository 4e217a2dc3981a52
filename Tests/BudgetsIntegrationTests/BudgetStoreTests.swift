import Domain
import ModelUsage
import Redis
import TestSupport
import Testing

@testable import Budgets

/// The budgets in a real Redis, compared with their model.
@Suite("Budgets in Redis")
struct BudgetStoreTests {
    private static let start: UInt64 = 1_790_000_000_000

    private static func with(_ body: @escaping @Sendable (BudgetStore, TestRedis) async throws -> Void) async throws {
        try await withDirectory { directory in
            try await withRedis(in: directory) { redis in
                try await withClient(redis.configuration) { client in
                    try await body(BudgetStore(client: client), redis)
                }
            }
        }
    }

    private static func subject(_ number: Int) -> BudgetSubject {
        let workspace = "w\(number % 2)"
        return BudgetSubject(
            tenant: workspace, workspace: workspace, definition: number % 3 == 0 ? "claude" : "codex",
            job: "job-\(number)", run: "job-\(number)/1")
    }

    private static func share(_ threshold: BudgetThreshold) -> String { "\(threshold.counter) \(threshold.percent)" }

    private static let limits = [
        BudgetLimit(id: "a", scope: .workspace, window: .day, unit: .tokens, amount: 5000),
        BudgetLimit(id: "b", scope: .definition, name: "claude", window: .month, unit: .money, amount: 900),
        BudgetLimit(id: "c", scope: .job, window: .run, unit: .requests, amount: 3),
    ]

    /// Steps with fixed seeds, by the store and by the model: every answer and every counter is the same.
    @Test("the functions do what the model does", arguments: 1...12)
    func differential(_ seed: Int) async throws {
        try await Self.with { store, _ in
            var random = SeededRandom(seed: UInt64(seed))
            var ledger = try BudgetLedger(limits: Self.limits)
            var now = Self.start
            for step in 0..<120 {
                now += .random(in: 0...(BudgetStore.lease / 8), using: &random)
                let id = "call-\(UInt64.random(in: 0..<40, using: &random))"
                let subject = Self.subject(.random(in: 0..<6, using: &random))
                switch UInt64.random(in: 0..<3, using: &random) {
                case 0:
                    let usage = TokenUsage(
                        input: .random(in: 0..<500, using: &random), output: .random(in: 0..<500, using: &random))
                    let actual = BudgetAmounts(
                        usage: usage, cost: Money(nanodollars: .random(in: 0..<300, using: &random)))
                    let expected = ledger.settle(id: id, actual)
                    let settled = try await store.settle(id: id, actual)
                    let shares = settled?.map(\.threshold)
                    #expect(shares.map { .done($0) } ?? .unknown == expected, "seed \(seed), step \(step)")
                default:
                    let amounts = BudgetAmounts(
                        reservingInput: .random(in: 0..<400, using: &random),
                        maximumOutput: .random(in: 0..<800, using: &random),
                        highestCost: Money(nanodollars: .random(in: 0..<300, using: &random)))
                    let ended = ledger.expire(now: now)
                    let expected = ledger.reserve(
                        id: id, for: subject, amounts, leaseEnd: now + BudgetStore.lease, now: now)
                    // A call that was admitted is sent at once.
                    _ = ledger.sent(id: id)
                    let (decision, reached) = try await store.reserve(
                        id: id, for: subject, amounts, in: Self.limits, now: now)
                    #expect(decision == expected, "seed \(seed), step \(step)")
                    // Leases that end at once may end in any order; the same shares are reached.
                    #expect(
                        Set(reached.map { Self.share($0.threshold) }) == Set(ended.map(Self.share)),
                        "seed \(seed), step \(step)")
                }
                let status = try await store.status(of: subject, in: Self.limits, now: now)
                #expect(status.count == ledger.status(of: subject, now: now).count && !status.isEmpty)
                for (mine, model) in zip(status, ledger.status(of: subject, now: now)) {
                    #expect(mine.limit == model.limit)
                    #expect(
                        mine.spent == model.counter.spent && mine.reserved == model.counter.reserved,
                        "seed \(seed), step \(step), \(mine.limit.id)")
                }
            }
        }
    }

    @Test("fifty calls at once cannot pass a limit that has room for one")
    func concurrency() async throws {
        try await Self.with { store, _ in
            let limit = BudgetLimit(id: "one", scope: .workspace, window: .day, unit: .tokens, amount: 1000)
            let amounts = BudgetAmounts(reservingInput: 100, maximumOutput: 700, highestCost: .zero)
            let admitted = try await withThrowingTaskGroup(of: Bool.self) { tasks in
                for number in 0..<50 {
                    tasks.addTask {
                        try await store.reserve(
                            id: "call-\(number)", for: Self.subject(0), amounts, in: [limit], now: Self.start
                        ).decision == .admitted
                    }
                }
                return try await tasks.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(admitted == 1)
            guard
                case .refused(let refusal) = try await store.reserve(
                    id: "next", for: Self.subject(0), amounts, in: [limit], now: Self.start
                ).decision
            else { throw TestFailure("the next call was admitted") }
            #expect(refusal.reserved == 800 && refusal.spent == 0 && refusal.requested == 800)
        }
    }

    @Test("limits are stored, replaced and removed; one that is not understood is not ignored")
    func limits() async throws {
        try await Self.with { store, redis in
            for limit in Self.limits { try await store.set(limit) }
            #expect(try await store.limits() == Self.limits)
            let higher = BudgetLimit(id: "a", scope: .workspace, window: .day, unit: .tokens, amount: 9000)
            try await store.set(higher)
            #expect(try await store.limits().first == higher)
            #expect(try await store.remove("a"))
            #expect(try await !store.remove("a"))
            _ = try await redis.send(RedisCommand("HSET", BudgetStore.standardPrefix + "limits", "x", "{}"))
            await #expect(throws: ModelUsageError.self) { try await store.limits() }
            let stored = try await store.stored()
            #expect(stored.limits == Array(Self.limits.dropFirst()) && stored.malformed.map(\.id) == ["x"])
            #expect(stored.malformed.first?.error.message.contains("'x' is malformed") == true)
        }
    }

    @Test(
        "a share that an expired reservation reaches is its own workspace's, also when the call that finds it is refused"
    )
    func expired() async throws {
        try await Self.with { store, _ in
            let limit = BudgetLimit(id: "e", scope: .workspace, window: .day, unit: .requests, amount: 1)
            let amounts = BudgetAmounts(usage: TokenUsage(), cost: .zero)
            _ = try await store.reserve(id: "a", for: Self.subject(0), amounts, in: [limit], now: Self.start)
            let later = Self.start + BudgetStore.lease
            let (decision, reached) = try await store.reserve(
                id: "b", for: Self.subject(0), amounts, in: [limit], now: later)
            guard case .refused = decision else { throw TestFailure("it was admitted") }
            #expect(reached.map(\.workspace) == ["w0"] && reached.map(\.threshold.percent) == [100])
            _ = try await store.reserve(id: "c", for: Self.subject(1), amounts, in: [limit], now: later)
            let (_, others) = try await store.reserve(
                id: "d", for: Self.subject(2), amounts, in: [limit], now: later + BudgetStore.lease)
            #expect(others.map(\.workspace) == ["w1"], "found by a call of w0")
        }
    }

    @Test("each share of a limit is reported once")
    func thresholds() async throws {
        try await Self.with { store, _ in
            let limit = BudgetLimit(id: "t", scope: .workspace, window: .day, unit: .requests, amount: 10)
            var shares: [UInt64] = []
            for number in 0..<10 {
                let id = "call-\(number)"
                _ = try await store.reserve(
                    id: id, for: Self.subject(0), BudgetAmounts(usage: TokenUsage(), cost: .zero), in: [limit],
                    now: Self.start)
                let reached = try #require(
                    try await store.settle(id: id, BudgetAmounts(usage: TokenUsage(), cost: .zero)))
                shares += reached.map(\.threshold.percent)
            }
            #expect(shares == [80, 100])
        }
    }
}
