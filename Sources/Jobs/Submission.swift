internal import Cryptography
package import Domain

/// A request to run a job, decided and validated.
package struct Submission: Sendable {
    package let job: Job
    package var priority: Priority
    package var start: JobStart
    /// While a job with this key has not ended no other with it is taken.
    package var uniqueKey: String?
    /// The tick of a schedule that it is for; no tick makes two jobs.
    package var tick: ScheduleTick?
    /// The event that says it was asked and allowed; stored with the job in one step.
    package let auditEvent: [UInt8]

    package init(
        job: Job, priority: Priority = .normal, start: JobStart = .now, uniqueKey: String? = nil,
        tick: ScheduleTick? = nil, auditEvent: [UInt8]
    ) {
        self.job = job
        self.priority = priority
        self.start = start
        self.uniqueKey = uniqueKey
        self.tick = tick
        self.auditEvent = auditEvent
    }

    /// The form in which the queue takes it: params sealed, ids that submitters chose as digests.
    package func sealed(with key: WorkspaceKey) throws -> SealedSubmission {
        let job = self.job
        let params = Array(job.action.name.utf8) + [0] + job.params
        return SealedSubmission(
            id: job.id, workspace: job.workspace, action: job.action, priority: self.priority, start: self.start,
            tags: job.tags, requestDigest: Array(try Digests.sha256(job.requestID.uuid.bytes).prefix(16)),
            paramsDigest: Array(try Digests.sha256(params).prefix(12)),
            uniqueDigest: try self.uniqueKey.map { Array(try Digests.sha256(Array($0.utf8)).prefix(16)) },
            tick: self.tick, envelope: try JobEnvelope.seal(job, with: key), keyID: key.id, keyStamp: key.stamp,
            auditEvent: self.auditEvent)
    }
}

/// A submission as the queue sees it.
package struct SealedSubmission: Hashable, Sendable {
    package let id: JobID
    package let workspace: WorkspaceID
    package let action: ActionName
    package let priority: Priority
    package let start: JobStart
    package let tags: [JobTag]
    /// 16 bytes: what is asked under one digest twice within the idempotency time is one job.
    package let requestDigest: [UInt8]
    /// 12 bytes of action and params, to tell a repeated request from another one under its id.
    package let paramsDigest: [UInt8]
    /// 16 bytes.
    package let uniqueDigest: [UInt8]?
    package let tick: ScheduleTick?
    package let envelope: [UInt8]
    /// The key that sealed the envelope; the queue takes nothing that was sealed with a key it does not have.
    package let keyID: UInt32
    package let keyStamp: [UInt8]
    package let auditEvent: [UInt8]
}

/// One moment at which a schedule is due.
package struct ScheduleTick: Hashable, Sendable {
    package let schedule: DefinitionName
    package let workspace: WorkspaceID
    /// Milliseconds since the epoch.
    package let time: UInt64

    package init(schedule: DefinitionName, workspace: WorkspaceID, time: UInt64) {
        self.schedule = schedule
        self.workspace = workspace
        self.time = time
    }

    /// Names the schedule in the queue.
    package var name: String { "\(self.workspace)/\(self.schedule)" }
}

/// When a job may first run, by the queue's clock.
package enum JobStart: Hashable, Sendable {
    case now
    case after(Duration)
    /// Milliseconds since the epoch.
    case at(UInt64)

    /// The longest delay: what is below is a delay for the queue's functions, what is above a time.
    package static let longestDelay = Duration.seconds(366 * 86_400)

    var argument: Int64 {
        switch self {
        case .now: 0
        case .after(let delay): min(max(delay, .zero), Self.longestDelay).milliseconds
        // A time that lies so far back is now.
        case .at(let time): time < 100_000_000_000 ? 0 : Int64(clamping: time)
        }
    }

    /// The time that it means at `now`; 0 for at once.
    func time(at now: UInt64) -> UInt64 {
        let argument = UInt64(clamping: self.argument)
        return argument > 0 && argument < 100_000_000_000 ? now + argument : argument
    }
}

/// What became of a submission.
package enum SubmissionResult: Hashable, Sendable {
    case accepted(JobID)
    /// The same request came before: the first job's id and its state, nil when its record is gone.
    case duplicate(JobID, state: JobState?)
    /// The request id was used before with other params; nothing was stored.
    case conflict(first: JobID)
    /// A job with the same unique key has not ended; nothing was stored.
    case notUnique(JobID, state: JobState?)
    /// The workspace is in quarantine until a person lets it go on; nothing was stored.
    case quarantined
    /// The workspace's stream is at its bound; nothing was stored, try again later.
    case full
    /// The queue does not have the key that sealed the params, because Redis was emptied or replaced; nothing was stored.
    case staleKey
}
