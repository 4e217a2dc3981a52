import Audit
import Cryptography
import Domain
import Intake
import Jobs
@testable import JobsModel
import Logging
import Policy
import Synchronization
import Testing

@testable import Worker

@Suite("The schedulers")
struct SchedulerTests {
    /// A queue whose clock the test moves, and schedulers of several nodes on it.
    private struct Bench: Sendable {
        let queue: InMemoryJobQueue
        private let time: TimeBox
        private let policy: PolicyEngine
        private let keys: WorkspaceKeyring

        private final class TimeBox: Sendable {
            let time = Mutex<UInt64>(1_800_000_000_000)
        }

        init(missed: String, limits: QueueLimits = QueueLimits()) throws {
            let time = TimeBox()
            self.time = time
            self.queue = InMemoryJobQueue(limits: limits, now: { time.time.withLock { $0 } })
            self.policy = try Self.policy(missed: missed)
            self.keys = WorkspaceKeyring(
                queue: self.queue, master: try SealingKey(bytes: [UInt8](repeating: 1, count: 32)))
        }

        func scheduler() -> Scheduler {
            Scheduler(
                queue: self.queue,
                intake: Intake(
                    queue: self.queue, keys: self.keys, digester: ParamsDigester(key: [1]), policy: self.policy),
                schedules: Array(self.policy.bundle.schedules.values), clock: ContinuousClock(),
                logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        }

        /// Ends what waits.
        func drain() async throws {
            let lease = NodeLease(
                queue: self.queue,
                identity: NodeIdentity(node: try NodeID("n1"), incarnation: Incarnation(value: 1), owner: "here"))
            _ = try await lease.join()
            for delivery in try await lease.claim(ClaimRequest(most: 9)).deliveries {
                let completion = Completion(
                    delivery: delivery, end: .completed, action: "queue.noop", failures: 0, crashes: 0, auditEvent: [])
                #expect(try await lease.finish([completion]) == [true])
            }
        }

        func advance(_ seconds: UInt64) { self.time.time.withLock { $0 += seconds * 1000 } }

        /// Jobs that were ever accepted: each has an event.
        var jobs: Int { get async { await self.queue.audit.count } }

        private static func policy(missed: String) throws -> PolicyEngine {
            func file(_ folder: String, _ name: String, _ text: String) -> PolicyFile {
                PolicyFile(folder: folder, name: name + ".json", bytes: Array(text.utf8))
            }
            let bundle = try PolicyBundle(files: [
                file("sandbox", "default", #"{"name":"default","summary":"x","environment":{}}"#),
                file(
                    "actions", "queue.noop",
                    #"{"name":"queue.noop","summary":"x","effect":"read","handler":{"kind":"none"},"params":{"type":"object","properties":{},"additionalProperties":false}}"#
                ),
                file(
                    "schedules", "each-minute",
                    #"{"name":"each-minute","summary":"x","workspace":"acme","action":"queue.noop","params":{},"cron":"* * * * *","missed":"\#(missed)"}"#
                ),
            ])
            return PolicyEngine(bundle: bundle, allowed: try AllowList("queue.noop"))
        }
    }

    @Test("however many nodes there are, each tick is one job, and a new schedule begins with its next tick")
    func oneJobATick() async throws {
        let bench = try Bench(missed: "skip")
        let nodes = [bench.scheduler(), bench.scheduler(), bench.scheduler()]
        for node in nodes { _ = try await node.askForWhatIsDue() }
        #expect(await bench.jobs == 0)
        for minute in 1...5 {
            bench.advance(60)
            for node in nodes { _ = try await node.askForWhatIsDue() }
            // One that has just come knows what was done before it.
            _ = try await bench.scheduler().askForWhatIsDue()
            #expect(await bench.jobs == minute)
        }
        // A day later nothing of the idempotency records is left, and still no tick comes twice.
        bench.advance(2 * 86_400)
        for node in nodes { _ = try await node.askForWhatIsDue() }
        #expect(await bench.jobs == 6)
        let late = bench.scheduler()
        _ = try await late.askForWhatIsDue()
        #expect(await bench.jobs == 6)
    }

    @Test(
        "what no node was there for is made up for as the schedule says",
        arguments: [("skip", 1), ("latest", 1), ("all", 30)])
    func missed(_ policy: String, expected: Int) async throws {
        let bench = try Bench(missed: policy)
        _ = try await bench.scheduler().askForWhatIsDue()
        bench.advance(30 * 60)
        _ = try await bench.scheduler().askForWhatIsDue()
        _ = try await bench.scheduler().askForWhatIsDue()
        #expect(await bench.jobs == expected)
    }

    @Test("a tick that finds no room is asked for again, as long as the schedule wants it")
    func noRoom() async throws {
        let bench = try Bench(missed: "all", limits: QueueLimits(streamLength: 2))
        let node = bench.scheduler()
        _ = try await node.askForWhatIsDue()
        bench.advance(5 * 60)
        for _ in 0..<3 { _ = try await node.askForWhatIsDue() }
        #expect(await bench.jobs == 2)
        try await bench.drain()
        _ = try await node.askForWhatIsDue()
        #expect(await bench.jobs == 4)
        try await bench.drain()
        for _ in 0..<3 { _ = try await node.askForWhatIsDue() }
        #expect(await bench.jobs == 5)
    }

    @Test("the pause is until the next tick, at most a few seconds")
    func pause() async throws {
        let bench = try Bench(missed: "skip")
        let node = bench.scheduler()
        #expect(try await node.askForWhatIsDue() == 5000)
        bench.advance(57)
        #expect(try await node.askForWhatIsDue() == 3000)
    }
}
