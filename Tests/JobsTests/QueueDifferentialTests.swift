import Domain
import Foundation
import Redis
import TestSupport
import Testing

@testable import Jobs
@testable import JobsModel

/// The functions in Redis and the machine in memory, through the same random calls: every answer and all that is left
/// must be the same. So what the simulator finds out about the machine is true of Redis.
@Suite("The queue's model", .enabled(if: isInstalled("redis-server"), "needs redis-server"))
struct QueueDifferentialTests {
    /// One random sequence after the other on one Redis; each begins with an empty queue.
    @Test("the functions in Redis and the machine in memory cannot be told apart")
    func sameAnswers() async throws {
        let environment = ProcessInfo.processInfo.environment
        let seeds = environment["ORCHESTRA_TEST_SEED"].flatMap { UInt64($0) }.map { $0...$0 } ?? 1...40
        let limits = QueueLimits(retention: .seconds(30 * 86_400), streamLength: 12)
        try await QueueBench.with(.redis, limits: limits) { bench in
            let client = try #require(bench.client)
            for seed in seeds {
                _ = try await client.send(RedisCommand("FLUSHALL"))
                var pair = QueuePair(bench: bench, limits: limits, client: client, seed: seed)
                do {
                    try await pair.run(steps: 250)
                } catch {
                    let lines = pair.history.suffix(60).joined(separator: "\n")
                    Issue.record("seed \(seed) (set ORCHESTRA_TEST_SEED to replay it): \(error)\n\(lines)")
                    return
                }
            }
        }
    }
}

/// Both queues, and what the test has learnt from their answers.
private struct QueuePair {
    /// A delivery as each side gave it: the ids of their entries differ.
    struct Twins {
        let redis: Delivery
        let model: Delivery
    }

    struct Difference: Error, CustomStringConvertible { let description: String }

    let bench: QueueBench
    let client: RedisClient
    var model: QueueMachine
    var random: SeededRandom
    var history: [String] = []
    private var now: UInt64
    private var incarnations: [String: UInt64] = [:]
    private var known: [(node: NodeIdentity, twins: Twins)] = []
    private var jobs: [(WorkspaceID, JobID)] = []
    private var nextJob: UInt64 = 0

    init(bench: QueueBench, limits: QueueLimits, client: RedisClient, seed: UInt64) {
        self.bench = bench
        self.client = client
        self.model = QueueMachine(limits: limits)
        self.random = SeededRandom(seed: seed)
        self.now = bench.now
    }

    mutating func run(steps: Int) async throws {
        try await self.bench.advance(.zero)
        self.now = self.bench.now
        for _ in 0..<steps { try await self.step() }
        try await self.compareRest()
    }

    private mutating func step() async throws {
        switch Int.random(in: 0..<100, using: &self.random) {
        case 0..<24: try await self.submit()
        case 24..<44: try await self.claim()
        case 44..<62: try await self.finish()
        case 62..<68: try await self.join()
        case 68..<71: try await self.held()
        case 71..<76: try await self.renewAndRescue()
        case 76..<80: try await self.moveDue()
        case 80..<85: try await self.cancel()
        case 85..<90: try await self.deadLetters()
        case 90..<92: try await self.setLimits()
        case 92..<93: try await self.quarantine()
        case 93..<94: try await self.forge()
        case 94..<95: try await self.leave()
        case 95..<96: try await self.progress()
        case 96..<98: try await self.look()
        default: try await self.wait()
        }
    }

    // MARK: - Steps

    private mutating func submit() async throws {
        var batch: [SealedSubmission] = []
        for _ in 0..<Int.random(in: 1...4, using: &self.random) {
            self.nextJob += 1
            let id = JobID(milliseconds: self.now, randomHigh: self.random.next(), randomLow: self.nextJob)
            let workspace = try self.workspace()
            batch.append(
                SealedSubmission(
                    id: id, workspace: workspace, action: try ActionName("queue.noop"),
                    priority: self.pick(Priority.allCases),
                    start: self.pick([
                        .now, .now, .now, .after(.seconds(self.pick([1, 20, 90]))), .at(self.now + 5000),
                    ]),
                    tags: try self.pick([[], [], ["a"], ["a", "b"]]).map { try JobTag($0) },
                    requestDigest: self.bytes(16, of: 40), paramsDigest: self.bytes(12, of: 4),
                    uniqueDigest: self.pick([nil, nil, nil, self.bytes(16, of: 3)]),
                    tick: self.pick([
                        nil, nil, nil, nil,
                        ScheduleTick(
                            schedule: try DefinitionName("s"), workspace: workspace,
                            time: UInt64(self.pick([10, 20, 30, 40]))),
                    ]),
                    envelope: [UInt8](repeating: 7, count: Int.random(in: 0...5, using: &self.random)),
                    keyID: 1, keyStamp: [],
                    auditEvent: Array("submitted \(self.nextJob)".utf8)))
            self.jobs.append((workspace, id))
        }
        try self.same(
            "submit \(batch.count)", try await self.bench.queue.submit(batch), self.model.submit(batch, at: self.now))
    }

    private mutating func claim() async throws {
        let node = try self.node()
        var held: [WorkspaceID: Int] = [:]
        for name in ["a", "b", "c"] where Bool.random(using: &self.random) {
            held[try WorkspaceID(name)] = Int.random(in: 0...3, using: &self.random)
        }
        let request = ClaimRequest(
            most: self.pick([1, 1, 2, 5, 20]), quantum: self.pick([1, 2, 8]), share: self.pick([2, 4, 100]), held: held,
            number: UInt64(self.pick([1, 5, 9])))
        let now = self.now
        var model = self.model
        let (left, right) = await self.outcomes(
            { try await self.bench.queue.claim(request, as: node) }, { try model.claim(request, as: node, at: now) })
        self.model = model
        try self.same(
            "claim \(node.node) \(request)", left.map { "\($0.dropped) \($0.hasMore)" },
            right.map { "\($0.dropped) \($0.hasMore)" })
        try self.learn("claim", node, left.map(\.deliveries), right.map(\.deliveries), sorted: false)
    }

    private mutating func finish() async throws {
        guard !self.known.isEmpty else { return }
        var batch: [(redis: Completion, model: Completion)] = []
        let (node, _) = self.pick(self.known)
        for _ in 0..<Int.random(in: 1...4, using: &self.random) {
            let twins = self.pick(self.known).twins
            let end = self.pick([
                Completion.End.completed, .completed, .completed, .cancelled, .discarded, .unresolved, .released,
                .retry(after: .seconds(self.pick([0, 3, 60]))),
            ])
            // Only what can be read is tried again.
            if case .retry = end, twins.redis.jobID == nil { continue }
            let failures = twins.redis.failures + 1
            let reason = self.pick(["", "because", "ünder"])
            let event = self.pick([[], Array("outcome \(failures)".utf8)])
            func completion(_ delivery: Delivery) -> Completion {
                Completion(
                    delivery: delivery, end: end, action: "queue.noop", runTime: .milliseconds(3), failures: failures,
                    crashes: delivery.crashes, reason: reason, sealedResult: [1, 2, 3], auditEvent: event)
            }
            batch.append((completion(twins.redis), completion(twins.model)))
        }
        // Redis works through a batch stream by stream; so that the audit trails are in one order, so does the test.
        batch.sort {
            ($0.redis.delivery.workspace.name, $0.redis.delivery.entry.priority.rawValue)
                < ($1.redis.delivery.workspace.name, $1.redis.delivery.entry.priority.rawValue)
        }
        try self.same(
            "finish \(node.node) \(batch.map { "\($0.redis.end)" })",
            try await self.bench.queue.finish(batch.map(\.redis), as: node),
            self.model.finish(batch.map(\.model), as: node, at: self.now))
    }

    private mutating func join() async throws {
        let name = self.pick(["n1", "n2", "n3"])
        self.incarnations[name, default: 0] += self.pick([0, 1, 1])
        let current = try self.identity(name, owner: self.pick(["here", "here", "there"]))
        let isLate = Int.random(in: 0..<8, using: &self.random) == 0 && current.incarnation.value > 0
        let node =
            isLate
            ? NodeIdentity(
                node: current.node, incarnation: Incarnation(value: current.incarnation.value - 1), owner: current.owner
            )
            : current
        let now = self.now
        var model = self.model
        let (left, right) = await self.outcomes(
            { try await self.bench.queue.join(as: node) }, { try model.join(as: node, at: now) })
        self.model = model
        try self.learn("join \(node)", node, left, right, sorted: true)
    }

    private mutating func held() async throws {
        let node = try self.node()
        let fence = UInt64(self.pick([0, 0, 4]))
        let now = self.now
        var model = self.model
        let (left, right) = await self.outcomes(
            { try await self.bench.queue.held(by: node, fence: fence) },
            { try model.held(by: node, fence: fence, at: now) })
        self.model = model
        try self.learn("held \(node)", node, left, right, sorted: true)
    }

    private mutating func renewAndRescue() async throws {
        let node = try self.node()
        let now = self.now
        var model = self.model
        let (left, right) = await self.outcomes(
            { try await self.bench.queue.renew(as: node) }, { try model.renew(as: node, at: now) })
        self.model = model
        func ordered(_ renewal: Renewal) -> [String] {
            renewal.dead + renewal.cancelled.map(\.description).sorted() + ["\(renewal.held)"]
        }
        try self.same("renew \(node.node)", left.map(ordered), right.map(ordered))
        let dead = self.pick(["n1", "n2", "n3"])
        let most = self.pick([1, 3, 100])
        // The order of leases within a stream is not the same: what a part of them would be neither.
        let all = max(most, 100)
        try self.same(
            "rescue \(dead)", try await self.bench.queue.rescue(dead, most: all),
            self.model.rescue(dead, most: all, at: self.now))
    }

    private mutating func moveDue() async throws {
        let most = self.pick([1, 100])
        try self.same(
            "due \(most)", try await self.bench.queue.moveDue(most: most), self.model.moveDue(most: most, at: self.now))
    }

    private mutating func cancel() async throws {
        guard !self.jobs.isEmpty else { return }
        let (workspace, job) = self.pick(self.jobs)
        let (request, outcome) = (Array("asked".utf8), Array("cancelled".utf8))
        try self.same(
            "cancel", try await self.bench.queue.cancel(job, in: workspace, request: request, outcome: outcome),
            self.model.cancel(job, in: workspace, request: request, outcome: outcome, at: self.now))
    }

    private mutating func deadLetters() async throws {
        let workspace = try self.workspace()
        let letters = self.model.deadLetters(in: workspace, limit: 50)
        let stored = try await self.bench.queue.deadLetters(in: workspace, limit: 50)
        try self.same("dead \(workspace)", stored, letters)
        guard let job = letters.randomElement(using: &self.random)?.job else { return }
        try self.same(
            "letter", try await self.bench.queue.deadLetter(job, in: workspace),
            self.model.deadLetter(job, in: workspace))
        let event = Array("decided".utf8)
        switch Int.random(in: 0..<3, using: &self.random) {
        case 0:
            try self.same(
                "requeue", try await self.bench.queue.requeue(job, in: workspace, auditEvent: event),
                self.model.requeue(job, in: workspace, auditEvent: event, at: self.now))
        case 1:
            try self.same(
                "drop", try await self.bench.queue.drop(job, in: workspace, auditEvent: event),
                self.model.drop(job, in: workspace, auditEvent: event))
        default:
            let resolution = self.pick(Resolution.allCases)
            try self.same(
                "resolve \(resolution)",
                try await self.bench.queue.resolve(
                    job, in: workspace, as: resolution, reason: "seen", auditEvent: event),
                self.model.resolve(
                    job, in: workspace, as: resolution, reason: "seen", auditEvent: event, at: self.now))
        }
    }

    private mutating func setLimits() async throws {
        let workspace = try self.workspace()
        let rate = self.pick([nil, WorkspaceLimits.Rate(count: 3, period: .seconds(7))])
        let limits = self.pick([
            nil, WorkspaceLimits(weight: self.pick([1, 2, 5]), concurrency: self.pick([nil, 1, 3]), rate: rate),
        ])
        try await self.bench.queue.setLimits(limits, of: workspace, auditEvent: Array("limits".utf8))
        self.model.setLimits(limits, of: workspace, auditEvent: Array("limits".utf8))
        self.history.append("limits \(workspace) \(limits.map { "\($0)" } ?? "none")")
        try self.same("loads", try await self.bench.queue.workspaceLimits(), self.model.loads)
    }

    private mutating func quarantine() async throws {
        let workspace = try self.workspace()
        let reason = self.pick([nil, nil, "seen"])
        let event = Array("quarantine".utf8)
        try self.same(
            "quarantine \(workspace) \(reason ?? "over")",
            try await self.bench.queue.quarantine(workspace, reason: reason, auditEvent: event),
            self.model.quarantine(workspace, reason: reason, auditEvent: event))
        try self.same("quarantined", try await self.bench.queue.quarantined(), self.model.quarantined)
    }

    /// An entry that somebody else put there: one that repeats a job, or says nothing.
    private mutating func forge() async throws {
        let workspace = try self.workspace()
        let priority = self.pick(Priority.allCases)
        let job = Bool.random(using: &self.random) ? self.jobs.last { $0.0 == workspace }?.1 : nil
        let envelope: [UInt8] = job == nil ? [] : [9, 9]
        var command = RedisCommand("XADD", "orc:{l0}:w:\(workspace):s:\(priority.rawValue)", "*", "e")
        command.append((job?.uuid.bytes ?? []) + envelope)
        _ = try await self.client.send(command)
        let entry = QueueMachine.Entry(
            id: self.model.nextEntryID(at: self.now), job: job, envelope: envelope)
        let stream = QueueMachine.StreamName(workspace: workspace, priority: priority)
        self.model.streams[stream, default: QueueMachine.Stream()].unread.append(entry)
        self.history.append("forge \(stream) \(job.map { "\($0)" } ?? "poison")")
    }

    private mutating func leave() async throws {
        let node = try self.node()
        try await self.bench.queue.leave(as: node)
        self.model.leave(as: node)
        self.history.append("leave \(node.node)")
    }

    private mutating func progress() async throws {
        guard let job = self.jobs.randomElement(using: &self.random)?.1 else { return }
        let node = try self.node()
        let progress = JobProgress(percent: 30, text: "so far: so good")
        try self.same(
            "progress", try await self.bench.queue.noteProgress(progress, of: job, as: node),
            self.model.noteProgress(progress, of: job, as: node, at: self.now))
    }

    private mutating func look() async throws {
        let workspace = try self.workspace()
        let tag = self.pick([nil, try JobTag("a")])
        try self.same(
            "jobs", try await self.bench.queue.jobs(in: workspace, limit: 30, tag: tag, after: nil),
            self.model.jobs(in: workspace, limit: 30, tag: tag))
        let after = self.jobs.randomElement(using: &self.random)?.1
        try self.same(
            "older jobs", try await self.bench.queue.jobs(in: workspace, limit: 5, tag: tag, after: after),
            self.model.jobs(in: workspace, limit: 5, tag: tag, after: after))
    }

    private mutating func wait() async throws {
        try await self.bench.advance(.milliseconds(self.pick([1, 900, 7000, 31_000, -600, -50_000])))
        self.now = self.bench.now
        self.history.append("now \(self.now)")
    }

    private mutating func compareRest() async throws {
        for workspace in try ["a", "b", "c"].map({ try WorkspaceID($0) }) {
            try self.same(
                "all jobs of \(workspace)", try await self.bench.queue.jobs(in: workspace, limit: 10_000, tag: nil),
                self.model.jobs(in: workspace, limit: 10_000, tag: nil))
            try self.same(
                "all dead letters", try await self.bench.queue.deadLetters(in: workspace, limit: 10_000),
                self.model.deadLetters(in: workspace, limit: 10_000))
        }
        var left = try await self.bench.queue.statistics()
        var right = self.model.statistics(at: self.now)
        // By the ids of entries, which Redis makes by its own clock.
        left.oldestAge = .zero
        right.oldestAge = .zero
        try self.same("statistics", left, right)
        try self.same(
            "audit", try await self.bench.audit(), self.model.audit.map { String(decoding: $0, as: UTF8.self) })
    }

    // MARK: - Helpers

    private func outcomes<Value: Sendable>(
        _ redis: () async throws -> Value, _ model: () throws -> Value
    ) async -> (Result<Value, JobQueueError>, Result<Value, JobQueueError>) {
        func plain(_ error: any Error) -> JobQueueError {
            JobQueueError(code: (error as? JobQueueError)?.code ?? .failed, message: "")
        }
        var left: Result<Value, JobQueueError>
        do { left = .success(try await redis()) } catch {
            left = .failure(plain(error))
            if case .failure(let code) = left, code.code == .failed {
                left = .failure(JobQueueError(code: .failed, message: "\(error)"))
            }
        }
        do { return (left, .success(try model())) } catch { return (left, .failure(plain(error))) }
    }

    private mutating func learn(
        _ what: String, _ node: NodeIdentity, _ redis: Result<[Delivery], JobQueueError>,
        _ model: Result<[Delivery], JobQueueError>, sorted: Bool
    ) throws {
        func ordered(_ deliveries: [Delivery]) -> [Delivery] {
            guard sorted else { return deliveries }
            return deliveries.sorted { left, right in
                (left.workspace.name, left.entry.priority.rawValue, left.entry.id)
                    < (right.workspace.name, right.entry.priority.rawValue, right.entry.id)
            }
        }
        func plain(_ delivery: Delivery) -> String {
            let job = delivery.jobID.map { "\($0)" } ?? "none"
            return "\(delivery.workspace) \(delivery.entry.priority) \(job) \(delivery.entry.isRepeated) "
                + "\(delivery.failures):\(delivery.crashes) \(delivery.envelope.count) \(delivery.isRecovered)"
        }
        let (left, right) = (redis.map(ordered), model.map(ordered))
        try self.same(what, left.map { $0.map(plain) }, right.map { $0.map(plain) })
        for (one, other) in zip((try? left.get()) ?? [], (try? right.get()) ?? []) {
            self.known.append((node, Twins(redis: one, model: other)))
        }
        if self.known.count > 40 { self.known.removeFirst(self.known.count - 40) }
    }

    private mutating func same<Value: Equatable>(_ what: String, _ redis: Value, _ model: Value) throws {
        self.history.append("\(what) -> \(String("\(redis)".prefix(600)))")
        guard redis == model else {
            throw Difference(description: "\(what): Redis answers \(redis), the machine \(model)")
        }
    }

    private mutating func pick<Value>(_ values: [Value]) -> Value {
        values[Int.random(in: 0..<values.count, using: &self.random)]
    }

    private mutating func bytes(_ count: Int, of kinds: Int) -> [UInt8] {
        [UInt8](repeating: UInt8(Int.random(in: 0..<kinds, using: &self.random)), count: count)
    }

    private mutating func workspace() throws -> WorkspaceID { try WorkspaceID(self.pick(["a", "a", "b", "c"])) }

    private func identity(_ name: String, owner: String = "here") throws -> NodeIdentity {
        NodeIdentity(
            node: try NodeID(name), incarnation: Incarnation(value: self.incarnations[name] ?? 0), owner: owner)
    }

    /// Mostly one that is current.
    private mutating func node() throws -> NodeIdentity {
        let node = try self.identity(self.pick(["n1", "n2", "n3"]))
        guard Int.random(in: 0..<12, using: &self.random) == 0 else { return node }
        return NodeIdentity(
            node: node.node, incarnation: Incarnation(value: node.incarnation.value &- 1), owner: node.owner)
    }
}
