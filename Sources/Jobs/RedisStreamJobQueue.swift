internal import Cryptography
package import Domain
package import Redis

/// The job queue on Redis Streams: every step that must not be torn is one call of a server-side function.
package struct RedisStreamJobQueue: Sendable {
    package let limits: QueueLimits
    let client: RedisClient
    let lane: Lane

    package init(client: RedisClient, limits: QueueLimits, lane: Lane = .single) {
        self.client = client
        self.limits = limits
        self.lane = lane
    }

    // MARK: - Submitting

    /// Stores jobs atomically, each with its idempotency record, its job record, its sealed entry and its
    /// audit event; a result for each, in order. Throws `JobQueueError`; when it is `unavailable` after
    /// sending, the same request ids may be sent again without doubling anything.
    package func submit(_ submissions: [Submission], keys: WorkspaceKeyring) async throws -> [SubmissionResult] {
        var call = self.call("submit", capacity: submissions.count * 1024)
        call.append(self.limits.retention.milliseconds)
        call.append(self.limits.idempotency.milliseconds)
        call.append(self.limits.streamLength)
        for submission in submissions {
            let job = submission.job
            let key = try await keys.currentKey(of: job.workspace)
            call.append(job.workspace.name)
            call.append(job.id.uuid.bytes)
            call.append(try Digests.sha256(job.requestID.uuid.bytes).prefix(16))
            call.append(try Digests.sha256(Array(job.action.name.utf8) + [0] + job.params).prefix(16))
            call.append(job.action.name)
            call.append(submission.priority.rawValue)
            call.append(try JobEnvelope.seal(job, with: key))
            call.append(submission.auditEvent)
            call.append(submission.start.argument)
        }
        let reply = try await self.send(call)
        return try reply.elements.map { element in
            let parts = element.elements
            guard parts.count == 3, let code = parts[0].integer, let uuid = UUIDBytes(bytes: parts[1].bytes) else {
                throw Self.unexpected("submit")
            }
            let id = JobID(uuid: uuid)
            switch code {
            case 0: return .accepted(id)
            case 1: return .duplicate(id, state: parts[2].string ?? "unknown")
            case 2: return .conflict(first: id)
            case 3: return .full
            default: throw Self.unexpected("submit")
            }
        }
    }

    /// Stores an audit event that belongs to no job, such as a denial.
    package func appendAudit(_ event: [UInt8]) async throws {
        do {
            _ = try await self.client.send(.streamAdd(self.lane.key("audit"), field: "e", value: event))
        } catch {
            throw JobQueueError.from(error)
        }
    }

    /// Redis' clock in milliseconds since the epoch.
    package func time() async throws -> UInt64 {
        do {
            let parts = try await self.client.send(.time).elements
            guard parts.count == 2, let seconds = parts[0].integer, let microseconds = parts[1].integer else {
                throw Self.unexpected("TIME")
            }
            return UInt64(clamping: seconds) * 1000 + UInt64(clamping: microseconds / 1000)
        } catch {
            throw JobQueueError.from(error)
        }
    }

    // MARK: - Reading

    /// The record of a job of this workspace, nil when there is none or it has passed its retention.
    package func job(_ id: JobID, in workspace: WorkspaceID) async throws -> JobRecord? {
        var call = self.call("job")
        call.append(workspace.name)
        call.append(id.uuid.bytes)
        let reply = try await self.send(call)
        return reply.isNull ? nil : try Self.record(reply)
    }

    /// The newest jobs of a workspace.
    package func jobs(in workspace: WorkspaceID, limit: Int) async throws -> [JobRecord] {
        var call = self.call("jobs")
        call.append(workspace.name)
        call.append(limit)
        return try await self.send(call).elements.filter { !$0.isNull }.map(Self.record)
    }

    /// Waits at most `timeout` on a connection of its own for the end of a job; the state that it has then,
    /// nil when there is no such job.
    package func waitForEnd(
        of id: JobID, in workspace: WorkspaceID, blocking: RedisClient, timeout: Duration
    ) async throws -> JobState? {
        var call = self.call("wait")
        call.append(workspace.name)
        call.append(id.uuid.bytes)
        let now = try await self.send(call)
        guard let state = now.string.flatMap(JobState.init(rawValue:)) else { return nil }
        if state.isFinal { return state }
        let pop = RedisCommand.listPopFirst(
            Array(self.lane.key("done:").utf8) + id.uuid.bytes, waiting: max(1, timeout.components.seconds))
        do {
            let answer = try await blocking.send(pop, timeout: timeout + .seconds(2)).elements
            return answer.count == 2 ? answer[1].string.flatMap(JobState.init(rawValue:)) ?? state : state
        } catch {
            throw JobQueueError.from(error)
        }
    }

    /// Depth and age of the queue, for metrics.
    package func statistics() async throws -> QueueStatistics {
        let parts = try await self.send(self.call("stats")).elements.compactMap(\.integer)
        guard parts.count == 4 else { throw Self.unexpected("stats") }
        return QueueStatistics(
            waiting: parts[0], oldestAge: .milliseconds(parts[1]), running: parts[2], delayed: parts[3])
    }

    // MARK: - Intervening

    /// Cancels a job wherever it is: a queued one ends here and now, of a running one its node is told. Returns the
    /// state it was in, nil when there is no such job; a final state means that nothing was done. `request` is
    /// stored at once, `outcome` with the end.
    package func cancel(
        _ id: JobID, in workspace: WorkspaceID, request: [UInt8], outcome: [UInt8]
    ) async throws -> JobState? {
        var call = self.call("cancel")
        call.append(workspace.name)
        call.append(id.uuid.bytes)
        call.append(request)
        call.append(outcome)
        return try await self.send(call).string.flatMap(JobState.init(rawValue:))
    }

    /// The newest dead letters of a workspace, without their outputs.
    package func deadLetters(in workspace: WorkspaceID, limit: Int) async throws -> [DeadLetter] {
        var call = self.call("dead")
        call.append(workspace.name)
        call.append(limit)
        return try await self.send(call).elements.compactMap(Self.deadLetter)
    }

    /// The dead letter of a job with its output, nil when there is none.
    package func deadLetter(_ id: JobID, in workspace: WorkspaceID) async throws -> DeadLetter? {
        var call = self.call("letter")
        call.append(workspace.name)
        call.append(id.uuid.bytes)
        return Self.deadLetter(try await self.send(call))
    }

    private static func deadLetter(_ value: RESPValue) -> DeadLetter? {
        let parts = value.elements
        guard parts.count == 5, let uuid = UUIDBytes(bytes: parts[0].bytes) else { return nil }
        let since = parts[4].string?.split(separator: "-").first.flatMap { UInt64($0) }
        return DeadLetter(
            job: JobID(uuid: uuid), action: parts[1].string ?? "", reason: parts[2].string ?? "",
            sealedOutput: Array(parts[3].bytes), since: since ?? 0)
    }

    /// Puts a dead letter back in line, its failures and crashes forgotten; false when there is none of this id.
    package func requeue(_ id: JobID, in workspace: WorkspaceID, auditEvent: [UInt8]) async throws -> Bool {
        var call = self.call("requeue")
        call.append(workspace.name)
        call.append(id.uuid.bytes)
        call.append(auditEvent)
        call.append(self.limits.retention.milliseconds)
        return try await self.send(call).integer == 1
    }

    /// Lets go of a dead letter; false when there is none of this id. Its record stays as long as any.
    package func drop(_ id: JobID, in workspace: WorkspaceID, auditEvent: [UInt8]) async throws -> Bool {
        var call = self.call("drop")
        call.append(workspace.name)
        call.append(id.uuid.bytes)
        call.append(auditEvent)
        return try await self.send(call).integer == 1
    }

    // MARK: - Calls

    func call(_ function: String, capacity: Int = 256) -> RedisCommand {
        .functionCall(QueueFunctions.name(function), key: self.lane.anchor, capacity: capacity)
    }

    func send(_ call: RedisCommand) async throws -> RESPValue {
        do {
            let replies = try await QueueFunctions.library.call([call], on: self.client)
            guard let reply = replies.first else { throw Self.unexpected("a function call") }
            return try reply.checked()
        } catch {
            throw JobQueueError.from(error)
        }
    }

    static func unexpected(_ what: String) -> JobQueueError {
        JobQueueError(code: .failed, message: "Redis' answer to \(what) has not the expected shape")
    }

    private static func record(_ value: RESPValue) throws -> JobRecord {
        let parts = value.elements
        guard parts.count == 11, let uuid = UUIDBytes(bytes: parts[0].bytes),
            let state = parts[1].string.flatMap(JobState.init(rawValue:))
        else { throw self.unexpected("a job's record") }
        return JobRecord(
            id: JobID(uuid: uuid), state: state, action: parts[2].string ?? "", submittedAt: parts[3].milliseconds,
            startedAt: parts[4].milliseconds, finishedAt: parts[5].milliseconds, failures: parts[6].integer ?? 0,
            crashes: parts[7].integer ?? 0, node: parts[8].string ?? "", reason: parts[9].string ?? "",
            sealedResult: Array(parts[10].bytes))
    }
}

/// A job that was given up on, kept for a person.
package struct DeadLetter: Hashable, Sendable {
    package let job: JobID
    package let action: String
    package let reason: String
    /// The last run's output, sealed as a result; empty when there is none, and in a list.
    package let sealedOutput: [UInt8]
    /// Milliseconds since the epoch, by Redis' clock.
    package let since: UInt64
}

/// How full the queue is.
package struct QueueStatistics: Hashable, Sendable {
    package let waiting: Int
    package let oldestAge: Duration
    package let running: Int
    package let delayed: Int
}

extension RESPValue {
    fileprivate var milliseconds: UInt64 { UInt64(clamping: self.integer ?? 0) }
}
