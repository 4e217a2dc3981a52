import Domain
import JobsModel
import Testing

@testable import Jobs

/// A queue machine with a clock, and short ways of calling it.
final class QueueWorld {
    var machine: QueueMachine
    /// Milliseconds since the epoch.
    var now: UInt64 = 1_800_000_000_000
    private var number: UInt64 = 0

    init(limits: QueueLimits = QueueLimits()) { self.machine = QueueMachine(limits: limits) }

    func advance(_ duration: Duration) { self.now += UInt64(duration.milliseconds) }

    // MARK: - Submitting

    /// A submission under a request id of its own, or under this one.
    func submission(
        _ workspace: String = "acme", request: UInt64? = nil, params: UInt8 = 0, priority: Priority = .normal,
        start: JobStart = .now, unique: String? = nil, tags: [String] = [], tick: UInt64? = nil
    ) throws -> SealedSubmission {
        self.number += 1
        let workspace = try WorkspaceID(workspace)
        return SealedSubmission(
            id: JobID(milliseconds: self.now, randomHigh: 0, randomLow: self.number), workspace: workspace,
            action: try ActionName("queue.noop"), priority: priority, start: start,
            tags: try tags.map { try JobTag($0) },
            requestDigest: UUIDBytes(high: 1, low: request ?? 1_000_000 + self.number).bytes,
            paramsDigest: [params], uniqueDigest: unique.map { Array($0.utf8) },
            tick: try tick.map {
                ScheduleTick(schedule: try DefinitionName("nightly"), workspace: workspace, time: $0)
            }, envelope: [UInt8(truncatingIfNeeded: self.number)], keyID: 1, keyStamp: [], sealedTerms: [],
            auditEvent: Array("submitted".utf8))
    }

    func submit(_ submission: SealedSubmission) -> SubmissionResult {
        self.machine.submit([submission], at: self.now)[0]
    }

    /// Submits a job that is accepted.
    @discardableResult
    func accept(
        _ workspace: String = "acme", priority: Priority = .normal, start: JobStart = .now, unique: String? = nil,
        tags: [String] = []
    ) throws -> JobID {
        let submission = try self.submission(
            workspace, priority: priority, start: start, unique: unique, tags: tags)
        try #require(self.submit(submission) == .accepted(submission.id))
        return submission.id
    }

    // MARK: - Nodes

    func identity(_ node: String = "n1", life: UInt64 = 1, owner: String = "here") throws -> NodeIdentity {
        NodeIdentity(node: try NodeID(node), incarnation: Incarnation(value: life), owner: owner)
    }

    @discardableResult
    func join(_ node: String = "n1", life: UInt64 = 1, owner: String = "here") throws -> [Delivery] {
        try self.machine.join(as: try self.identity(node, life: life, owner: owner), at: self.now)
    }

    func claim(
        _ most: Int = 1000, quantum: Int = 1, share: Int = 1_000_000, held: [WorkspaceID: Int] = [:],
        number: UInt64 = 0, node: String = "n1", life: UInt64 = 1
    ) throws -> Claim {
        try self.machine.claim(
            ClaimRequest(most: most, quantum: quantum, share: share, held: held, number: number),
            as: try self.identity(node, life: life), at: self.now)
    }

    /// The workspaces of what a claim brings, in order.
    func workspaces(_ most: Int, quantum: Int = 1, held: [WorkspaceID: Int] = [:]) throws -> [String] {
        try self.claim(most, quantum: quantum, held: held).deliveries.map(\.workspace.name)
    }

    /// Claims the next job.
    func next(node: String = "n1", life: UInt64 = 1) throws -> Delivery {
        try #require(try self.claim(1, node: node, life: life).deliveries.first)
    }

    @discardableResult
    func finish(
        _ delivery: Delivery, _ end: Completion.End = .completed, failures: Int = 0, reason: String = "",
        result: [UInt8] = [], tags: [String] = [], node: String = "n1", life: UInt64 = 1
    ) throws -> Bool {
        let completion = Completion(
            delivery: delivery, end: end, action: "queue.noop", tags: try tags.map { try JobTag($0) },
            runTime: .milliseconds(5), failures: failures,
            crashes: delivery.crashes, reason: reason, sealedResult: result, auditEvent: Array("outcome".utf8))
        return self.machine.finish([completion], as: try self.identity(node, life: life), at: self.now)[0]
    }

    func renew(_ node: String = "n1", life: UInt64 = 1) throws -> Renewal {
        try self.machine.renew(as: try self.identity(node, life: life), at: self.now)
    }

    func moveDue(_ most: Int = 1000) -> Int { self.machine.moveDue(most: most, at: self.now) }

    func rescue(_ node: String, most: Int = 1000) -> Int { self.machine.rescue(node, most: most, at: self.now) }

    // MARK: - People

    func cancel(_ job: JobID, in workspace: String = "acme") throws -> JobState? {
        self.machine.cancel(
            job, in: try WorkspaceID(workspace), request: Array("asked".utf8), outcome: Array("cancelled".utf8),
            at: self.now)
    }

    func requeue(_ job: JobID, in workspace: String = "acme") throws -> DeadLetterResult {
        self.machine.requeue(job, in: try WorkspaceID(workspace), auditEvent: Array("requeued".utf8), at: self.now)
    }

    func drop(_ job: JobID, in workspace: String = "acme") throws -> DeadLetterResult {
        self.machine.drop(job, in: try WorkspaceID(workspace), auditEvent: Array("dropped".utf8))
    }

    func resolve(_ job: JobID, as resolution: Resolution, in workspace: String = "acme") throws -> Bool {
        self.machine.resolve(
            job, in: try WorkspaceID(workspace), as: resolution, reason: "seen", auditEvent: Array("resolved".utf8),
            at: self.now)
    }

    @discardableResult
    func quarantine(_ workspace: String = "acme", reason: String? = "stranger") throws -> Bool {
        self.machine.quarantine(try WorkspaceID(workspace), reason: reason, auditEvent: Array("quarantine".utf8))
    }

    func limit(
        _ workspace: String = "acme", weight: Int = 1, concurrency: Int? = nil, rate: WorkspaceLimits.Rate? = nil
    ) throws {
        let limits = try #require(WorkspaceLimits(weight: weight, concurrency: concurrency, rate: rate))
        self.machine.setLimits(limits, of: try WorkspaceID(workspace), auditEvent: Array("limits".utf8))
    }

    @discardableResult
    func setHome(_ node: String?, of workspace: String = "acme") throws -> HomeChange {
        try self.machine.setHome(
            try node.map { try NodeID($0) }, of: try WorkspaceID(workspace), auditEvent: Array("home".utf8),
            at: self.now)
    }

    // MARK: - Reading

    func record(_ job: JobID, in workspace: String = "acme") throws -> JobRecord? {
        self.machine.job(job, in: try WorkspaceID(workspace))
    }

    func state(_ job: JobID, in workspace: String = "acme") throws -> JobState? {
        try self.record(job, in: workspace)?.state
    }

    func letters(in workspace: String = "acme", limit: Int = 1000) throws -> [DeadLetter] {
        self.machine.deadLetters(in: try WorkspaceID(workspace), limit: limit)
    }

    var statistics: QueueStatistics { self.machine.statistics(at: self.now) }

    var audit: [String] { self.machine.audit.map { String(decoding: $0, as: UTF8.self) } }

    /// Submits a job and brings it to this end.
    func ended(_ end: Completion.End, unique: String? = nil, result: [UInt8] = []) throws -> JobID {
        let job = try self.accept(unique: unique)
        try self.finish(try self.next(), end, reason: "it broke", result: result)
        return job
    }
}
