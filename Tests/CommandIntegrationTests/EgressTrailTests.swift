import Budgets
import CoreMetrics
import Credentials
import Cryptography
import Domain
import Egress
import EgressServer
import Jobs
import Logging
import ModelUsage
import Redis
import Synchronization
import TestSupport
import Testing

@testable import orchestra

/// The node's side of a call of a model, with a real Redis: the row, the credential, the budget.
@Suite("The trail of egress")
struct EgressTrailTests {
    /// The clock of this machine, which a test may let jump.
    private final class Wall: Sendable {
        private let times: Mutex<[UInt64]>
        init(_ times: [UInt64]) { self.times = Mutex(times) }
        var next: UInt64 { self.times.withLock { $0.count > 1 ? $0.removeFirst() : $0[0] } }
    }

    private struct Bench: Sendable {
        let trail: EgressTrail
        let budgets: BudgetStore
        let credentials: ProviderCredentialStore
        let queue: RedisStreamJobQueue
        let workspace: WorkspaceID

        static let subject = BudgetSubject(
            tenant: "acme", workspace: "acme", definition: "claude", job: "job", run: "job/1")

        static func with(
            wall: [UInt64] = [1000], _ body: @escaping @Sendable (Bench) async throws -> Void
        ) async throws {
            let pattern = try #require(ModelPattern("claude-*"))
            try await withDirectory { directory in
                try await withRedis(in: directory) { redis in
                    try await withClient(redis.configuration) { client in
                        let master = try SealingKey(bytes: [UInt8](repeating: 7, count: 32))
                        let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
                        let queue = RedisStreamJobQueue(client: client, limits: QueueLimits())
                        let clock = Wall(wall)
                        let prices = PriceTable(
                            source: "test", date: "2026-11-30", unknownModel: .refuse,
                            entries: [
                                PriceEntry(
                                    provider: "anthropic", model: pattern,
                                    prices: TokenPrices(
                                        input: 1_000_000, output: 2_000_000, cacheRead: 100_000,
                                        cacheWrite: 1_000_000, cacheWriteHour: 1_000_000))
                            ])
                        let admission = try ModelAdmission(
                            client: client, master: master, prices: prices, now: { 1_790_000_000_000 }, logger: quiet,
                            reached: { _ in })
                        let trail = EgressTrail(
                            store: queue, node: "n1", now: { 1_790_000_000_000 }, wall: { clock.next },
                            admission: admission, metrics: EgressMetrics(factory: NOOPMetricsHandler.instance),
                            logger: quiet)
                        let bench = Bench(
                            trail: trail, budgets: BudgetStore(client: client),
                            credentials: try ProviderCredentialStore(client: client, master: master), queue: queue,
                            workspace: try WorkspaceID("acme"))
                        try await bench.budgets.set(
                            BudgetLimit(id: "day", scope: .workspace, window: .day, unit: .money, amount: 1_000_000_000)
                        )
                        _ = try await bench.credentials.add(
                            try ProviderCredential(
                                name: try DefinitionName("anthropic"), value: "sk-real", hosts: ["api.anthropic.test"],
                                createdAt: 1, changedAt: 1), of: bench.workspace)
                        try await body(bench)
                    }
                }
            }
        }

        /// What is spent and reserved of the day's limit, in billionths of a dollar.
        func status() async throws -> [UInt64] {
            let status = try await self.budgets.status(
                of: Self.subject, in: try await self.budgets.limits(), now: 1_790_000_000_000)
            return status.flatMap { [$0.spent, $0.reserved] }
        }

        func rows() async throws -> [JSONValue] {
            let page = try await self.queue.auditTrail(of: self.workspace, before: nil, limit: 10)
            return try page.events.reversed().map { try JSONParser.parse($0) }
        }
    }

    private static func event(
        _ phase: String = "decided", host: String = "api.anthropic.test", model name: String = "claude-x",
        reservation: JSONValue = "r1", usage: JSONValue = .null, time: Int64 = 1000
    ) -> JSONValue {
        [
            "phase": .string(phase), "decision": "allow", "door": "model", "workspace": "acme", "job": "job",
            "launch": 1, "definition": "claude", "host": .string(host), "credential": "anthropic",
            "time": .integer(time),
            "model": [
                "provider": "anthropic", "name": .string(name), "charged": true, "input_estimate": 1000,
                "output_limit": 100, "reservation": reservation, "usage": usage,
            ],
        ]
    }

    @Test("a call gets its credential and a reservation, and its end replaces that by what it cost")
    func admitted() async throws {
        try await Bench.with { bench in
            let answer = await bench.trail.append(Self.event())
            #expect(answer == EgressAcknowledgement(credential: "sk-real"))
            // 1,000 tokens in and 100 out, in billionths of a dollar.
            #expect(try await bench.status() == [0, 1_200_000])
            let usage: JSONValue = ["input": 10, "output": 5, "cache_read": 0, "cache_write": 0, "model": "claude-x"]
            #expect(await bench.trail.append(Self.event("ended", usage: usage)) == .init())
            #expect(try await bench.status() == [20_000, 0])
            let rows = try await bench.rows()
            #expect(rows.map { $0["status"] } == ["allowed", "ended"])
            #expect(rows.last?["connection"]?["cost_microdollars"] == .integer(20))
            #expect(!rows.map(\.text).joined().contains("sk-real"))
        }
    }

    @Test(
        "a call that is not admitted has one row that says why, and no reservation",
        arguments: [
            (Self.event(host: "api.other.test"), "credential_missing"),
            (Self.event(model: "gpt-x"), "model_not_allowed"),
            (Self.event(reservation: .null), "audit_unavailable"),
        ])
    func refused(_ event: JSONValue, _ reason: String) async throws {
        try await Bench.with { bench in
            let answer = await bench.trail.append(event)
            #expect(answer?.refusal?.reason.rawValue == reason && answer?.credential == nil)
            #expect(try await bench.status() == [0, 0])
            let rows = try await bench.rows()
            #expect(rows.map { $0["status"] } == ["denied"] && rows.first?["error_reason"] == .string(reason))
        }
    }

    @Test("a spent budget is named in the row and in the answer")
    func spent() async throws {
        try await Bench.with { bench in
            try await bench.budgets.set(
                BudgetLimit(id: "day", scope: .workspace, window: .day, unit: .money, amount: 1_000_000))
            let answer = await bench.trail.append(Self.event())
            #expect(answer?.refusal?.reason == .budgetSpent && answer?.refusal?.message.contains("'day'") == true)
        }
    }

    @Test("an admission that comes too late has no row and leaves nothing reserved")
    func late() async throws {
        try await Bench.with(wall: [1000, 9000]) { bench in
            #expect(await bench.trail.append(Self.event()) == nil)
            let (status, rows) = (try await bench.status(), try await bench.rows())
            #expect(status == [0, 0] && rows.isEmpty)
        }
    }

    @Test("a call that ends without having been sent costs nothing, and one that was cut at most what it could use")
    func ends() async throws {
        try await Bench.with { bench in
            _ = await bench.trail.append(Self.event())
            _ = await bench.trail.append(Self.event("ended"))
            let unsent = try await bench.status()
            #expect(unsent == [0, 0])
            _ = await bench.trail.append(Self.event(reservation: "r2"))
            let usage: JSONValue = ["input": 10, "output": 999_999_999, "model": "claude-x", "estimated": true]
            _ = await bench.trail.append(Self.event("ended", reservation: "r2", usage: usage))
            let status = try await bench.status()
            #expect(status == [10_000 + 200_000, 0])
        }
    }

    @Test("a model that only the answer names is charged as the one that was asked for")
    func otherModel() async throws {
        try await Bench.with { bench in
            _ = await bench.trail.append(Self.event())
            let usage: JSONValue = ["input": 10, "output": 5, "model": "unknown-next"]
            _ = await bench.trail.append(Self.event("ended", usage: usage))
            let status = try await bench.status()
            #expect(status == [20_000, 0])
        }
    }
}
