import Cryptography
import Domain
import Foundation
import Redis
import Synchronization
import TestSupport
import Testing

@testable import Jobs
@testable import JobsModel

/// A queue whose clock moves only when the test advances it.
struct QueueBench: Sendable {
    let queue: any JobQueue
    let keys: WorkspaceKeyring
    private let clock: TestClock
    /// The Redis that stores the queue; nil for the queue in memory.
    let client: RedisClient?

    /// The queue's clock, in milliseconds since the epoch.
    final class TestClock: Sendable {
        private let time: Mutex<UInt64>
        init(_ start: UInt64) { self.time = Mutex(start) }
        var now: UInt64 { self.time.withLock { $0 } }
        func advance(_ milliseconds: Int64) { self.time.withLock { $0 = UInt64(clamping: Int64($0) + milliseconds) } }
    }

    var now: UInt64 { self.clock.now }

    /// Moves the clock; back by a negative duration.
    func advance(_ duration: Duration) async throws {
        self.clock.advance(duration.milliseconds)
        try await self.publishClock()
    }

    fileprivate func publishClock() async throws {
        guard let client = self.client else { return }
        _ = try await client.send(RedisCommand("SET", Self.clockKey, String(self.now)))
    }

    static let clockKey = "orc:{l0}:clock"
    static let functions = QueueFunctions(now: "return tonumber(redis.call('GET', '\(clockKey)'))")

    static func with(
        _ implementation: Implementation, limits: QueueLimits = QueueLimits(),
        _ body: @escaping @Sendable (QueueBench) async throws -> Void
    ) async throws {
        let clock = TestClock(UInt64(Date().timeIntervalSince1970 * 1000))
        let master = try SealingKey(bytes: [UInt8](repeating: 9, count: 32))
        switch implementation {
        case .memory:
            let queue = InMemoryJobQueue(limits: limits, now: { clock.now })
            try await body(
                QueueBench(
                    queue: queue, keys: WorkspaceKeyring(queue: queue, master: master), clock: clock, client: nil))
        case .redis:
            try await withDirectory { directory in
                try await withRedis(in: directory, options: ["--appendonly", "no"]) { redis in
                    try await withClient(redis.configuration) { client in
                        try await withClient(redis.configuration) { blocking in
                            let queue = RedisStreamJobQueue(
                                client: client, blocking: blocking, limits: limits, functions: Self.functions)
                            let bench = QueueBench(
                                queue: queue, keys: WorkspaceKeyring(queue: queue, master: master), clock: clock,
                                client: client)
                            try await bench.publishClock()
                            try await body(bench)
                        }
                    }
                }
            }
        }
    }

    func lease(_ node: String, _ incarnation: UInt64 = 1, owner: String = "here") throws -> NodeLease {
        NodeLease(
            queue: self.queue,
            identity: NodeIdentity(node: try NodeID(node), incarnation: Incarnation(value: incarnation), owner: owner))
    }

    func submission(
        _ workspace: String = "acme", request: String = UUID().uuidString, params: String = "{}",
        priority: Priority = .normal, start: JobStart = .now, unique: String? = nil, tags: [String] = [],
        tick: ScheduleTick? = nil, deadline: UInt64? = nil
    ) throws -> Submission {
        let id = JobID(
            milliseconds: self.now, randomHigh: .random(in: 0...(.max)), randomLow: .random(in: 0...(.max)))
        return Submission(
            job: Job(
                id: id, workspace: try WorkspaceID(workspace), action: try ActionName("queue.noop"),
                requestID: try RequestID(request), actor: "test", submittedAt: id.milliseconds,
                params: Array(params.utf8), deadline: deadline, tags: try tags.map { try JobTag($0) }),
            priority: priority, start: start, uniqueKey: unique, tick: tick, auditEvent: Array("submitted".utf8))
    }

    /// Submits a job and requires that it is accepted.
    @discardableResult
    func accept(_ submission: Submission) async throws -> JobID {
        let result = try await self.submit(submission)
        try #require(result == .accepted(submission.job.id))
        return submission.job.id
    }

    func submit(_ submission: Submission) async throws -> SubmissionResult {
        try #require(try await self.queue.submit([submission], keys: self.keys).first)
    }

    func completion(
        _ delivery: Delivery, _ end: Completion.End = .completed, failures: Int = 0, reason: String = ""
    ) -> Completion {
        Completion(
            delivery: delivery, end: end, action: "queue.noop", runTime: .milliseconds(5), failures: failures,
            crashes: delivery.crashes, reason: reason, auditEvent: Array("outcome \(end.state.rawValue)".utf8))
    }

    /// Loses the member of a delayed job.
    func loseDelayed(_ job: JobID) async throws {
        if let memory = self.queue as? InMemoryJobQueue { return await memory.loseDelayed(job) }
        let client = try #require(self.client)
        let members = try await client.send(RedisCommand("ZRANGE", "orc:{l0}:due", "0", "-1")).elements
        let member = try #require(members.first { Array($0.bytes).firstRange(of: job.uuid.bytes) != nil })
        var command = RedisCommand("ZREM", "orc:{l0}:due")
        command.append(Array(member.bytes))
        #expect(try await client.send(command).integer == 1)
    }

    func state(_ job: JobID, in workspace: String = "acme") async throws -> JobState? {
        try await self.queue.job(job, in: try WorkspaceID(workspace))?.state
    }

    /// The audit trail of one workspace so far, the oldest event first.
    func audit(of workspace: WorkspaceID) async throws -> [String] {
        let page = try await self.queue.auditTrail(of: workspace, before: nil, limit: 1_000_000)
        return page.events.reversed().map { String(decoding: $0, as: UTF8.self) }
    }

    /// The audit trails so far.
    func audit() async throws -> [String] {
        if let memory = self.queue as? InMemoryJobQueue {
            return await memory.audit.map { String(decoding: $0, as: UTF8.self) }
        }
        let entries = try await self.client?.auditEntries() ?? []
        return entries.flatMap { $0.elements[1].elements }.compactMap(\.string).filter { $0 != "e" }
    }
}
