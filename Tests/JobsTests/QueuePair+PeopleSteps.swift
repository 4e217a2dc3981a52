import Domain
import Foundation
import Redis
import TestSupport
import Testing

@testable import Jobs
@testable import JobsModel

/// The calls of people, entries of other writers, and the comparison at the end.
extension QueuePair {
    mutating func cancel() async throws {
        guard !self.jobs.isEmpty else { return }
        let (workspace, job) = self.pick(self.jobs)
        let (request, outcome) = (Array("asked".utf8), Array("cancelled".utf8))
        try self.same(
            "cancel", try await self.bench.queue.cancel(job, in: workspace, request: request, outcome: outcome),
            self.model.cancel(job, in: workspace, request: request, outcome: outcome, at: self.now))
    }

    mutating func deadLetters() async throws {
        let workspace = try self.workspace()
        let deadLetters = self.model.deadLetters(in: workspace, limit: 50)
        let stored = try await self.bench.queue.deadLetters(in: workspace, limit: 50)
        try self.same("dead letters of \(workspace)", stored, deadLetters)
        guard let job = deadLetters.randomElement(using: &self.random)?.job else { return }
        try self.same(
            "dead letter", try await self.bench.queue.deadLetter(job, in: workspace),
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

    mutating func setLimits() async throws {
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

    mutating func quarantine() async throws {
        let workspace = try self.workspace()
        let reason = self.pick([nil, nil, "seen"])
        let event = Array("quarantine".utf8)
        try self.same(
            "quarantine \(workspace) \(reason ?? "over")",
            try await self.bench.queue.quarantine(workspace, reason: reason, auditEvent: event),
            self.model.quarantine(workspace, reason: reason, auditEvent: event))
        try self.same("quarantined", try await self.bench.queue.quarantined(), self.model.quarantined)
    }

    mutating func homes() async throws {
        let workspace = try self.workspace()
        let node = try self.pick([nil, nil, "n1", "n2", "n9"]).map { try NodeID($0) }
        let event = Array("home".utf8)
        let now = self.now
        var model = self.model
        let (left, right) = await self.outcomes(
            { try await self.bench.queue.setHome(node, of: workspace, auditEvent: event) },
            { try model.setHome(node, of: workspace, auditEvent: event, at: now) })
        self.model = model
        try self.same("home \(workspace) \(node?.name ?? "none")", left, right)
        try self.same("homes", try await self.bench.queue.homes(), self.model.workspaceHomes)
    }

    /// Says as another writer that a node has been away since long ago. That changes nothing.
    mutating func strand() async throws {
        let node = self.pick(["n1", "n2", "n3", "n9"])
        _ = try await self.client.send(RedisCommand("ZADD", "orc:{l0}:stranded", "0", node))
        self.history.append("stranded \(node)")
    }

    /// Adds an entry as another writer: one that repeats a job, one of an old job without a record, or one without a job
    /// ID.
    mutating func forge() async throws {
        let workspace = try self.workspace()
        let priority = self.pick(Priority.allCases)
        let old = try #require(self.oldJobs.randomElement(using: &self.random))
        let job = self.pick([self.jobs.last { $0.0 == workspace }?.1, nil, old])
        self.nextJob += 1
        // No two are the same: Redis would keep one member when both are retried.
        let envelope = job == nil ? [] : Array("forged \(self.nextJob)".utf8)
        var command = RedisCommand("XADD", "orc:{l0}:w:\(workspace):s:\(priority.rawValue)", "*", "e")
        command.append((job?.uuid.bytes ?? []) + envelope)
        _ = try await self.client.send(command)
        let entry = QueueMachine.Entry(
            id: self.model.nextEntryID(at: self.now), job: job, envelope: envelope)
        let stream = QueueMachine.StreamName(workspace: workspace, priority: priority)
        self.model.streams[stream, default: QueueMachine.Stream()].unread.append(entry)
        self.history.append("forge \(stream) \(job.map { "\($0)" } ?? "poison")")
    }

    /// Adds a member to the delayed jobs as another writer: one with the ID of a job, of any workspace, or of none.
    mutating func forgeDelayed() async throws {
        let stream = QueueMachine.StreamName(workspace: try self.workspace(), priority: self.pick(Priority.allCases))
        self.nextJob += 1
        let known = Bool.random(using: &self.random) ? self.jobs.randomElement(using: &self.random)?.1 : nil
        let job = known ?? JobID(milliseconds: self.now, randomHigh: 0, randomLow: self.nextJob)
        // No two members are the same, so that Redis keeps each.
        let envelope = Array("forged \(self.nextJob)".utf8)
        let time = self.now + UInt64(self.pick([0, 20_000]))
        var command = RedisCommand("ZADD", "orc:{l0}:due", String(time))
        command.append(Array("\(stream.workspace):s:\(stream.priority.rawValue)|".utf8) + job.uuid.bytes + envelope)
        _ = try await self.client.send(command)
        _ = try await self.client.send(RedisCommand("HINCRBY", "orc:{l0}:delayed", "\(stream.workspace)", "1"))
        self.model.due.append(
            QueueMachine.Delayed(time: time, stream: stream, job: job, envelope: envelope))
        self.history.append("forge delayed \(stream) \(job)")
    }

    mutating func leave() async throws {
        let node = try self.node()
        try await self.bench.queue.leave(as: node)
        self.model.leave(as: node, at: self.now)
        self.history.append("leave \(node.node)")
    }

    mutating func progress() async throws {
        guard let job = self.jobs.randomElement(using: &self.random)?.1 else { return }
        let node = try self.node()
        let progress = SealedProgress(percent: 30, sealedText: Array("so far: so good".utf8) + [0, 58, 255])
        try self.same(
            "progress", try await self.bench.queue.noteProgress(progress, of: job, as: node),
            self.model.noteProgress(progress, of: job, as: node, at: self.now))
    }

    mutating func list() async throws {
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

    mutating func wait() async throws {
        try await self.bench.advance(.milliseconds(self.pick([1, 900, 7000, 31_000, -600, -50_000])))
        self.now = self.bench.now
        self.history.append("now \(self.now)")
    }

    mutating func compareRest() async throws {
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
        // Computed from entry IDs, which Redis creates by its own clock.
        left.oldestAge = .zero
        right.oldestAge = .zero
        try self.same("statistics", left, right)
        try self.same("homes", try await self.bench.queue.homes(), self.model.workspaceHomes)
        for workspace in try ["a", "b", "c"].map({ try WorkspaceID($0) }) {
            try self.same(
                "audit trail of \(workspace)", try await self.bench.audit(of: workspace),
                self.model.auditRows.filter { $0.workspace == workspace }.map {
                    String(decoding: $0.event, as: UTF8.self)
                })
        }
    }
}
