package import Domain

/// A request to run a job, decided and validated.
package struct Submission: Sendable {
    package let job: Job
    package let priority: Priority
    package let start: JobStart
    /// The event that says it was asked and allowed; stored with the job in one step.
    package let auditEvent: [UInt8]

    package init(job: Job, priority: Priority = .normal, start: JobStart = .now, auditEvent: [UInt8]) {
        self.job = job
        self.priority = priority
        self.start = start
        self.auditEvent = auditEvent
    }
}

/// When a job may first run, by Redis' clock.
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
}

/// Within a workspace the more urgent runs first; between workspaces it says nothing.
package enum Priority: Int, Hashable, Sendable, CaseIterable {
    case high = 1
    case normal = 2
    case low = 3
}

/// What became of a submission.
package enum SubmissionResult: Hashable, Sendable {
    case accepted(JobID)
    /// The same request came before: the first job's id and its state now.
    case duplicate(JobID, state: String)
    /// The request id was used before with other params; nothing was stored.
    case conflict(first: JobID)
    /// The workspace's stream is at its bound; nothing was stored, try again later.
    case full
}

/// A job as its record tells it.
package struct JobRecord: Hashable, Sendable {
    package let id: JobID
    package let state: JobState
    package let action: String
    /// Milliseconds since the epoch; 0 where it has not happened.
    package let submittedAt: UInt64
    package let startedAt: UInt64
    package let finishedAt: UInt64
    package let failures: Int
    package let crashes: Int
    package let node: String
    package let reason: String
    /// Still sealed; empty when there is none.
    package let sealedResult: [UInt8]
}

/// What a node reports of a delivery when it is done with it.
package struct Completion: Sendable {
    package enum End: Hashable, Sendable {
        case completed
        case cancelled
        /// Given up; kept as a dead letter.
        case discarded
        /// To be tried again after the delay.
        case retry(after: Duration)
        /// Handed back unrun or undone, not counted.
        case released
    }

    package let delivery: Delivery
    package let end: End
    package let action: String
    package let submittedAt: UInt64
    package let startedAt: UInt64
    package let failures: Int
    package let crashes: Int
    package let reason: String
    package let sealedResult: [UInt8]
    package let auditEvent: [UInt8]

    package init(
        delivery: Delivery, end: End, action: String, submittedAt: UInt64, startedAt: UInt64, failures: Int,
        crashes: Int,
        reason: String = "", sealedResult: [UInt8] = [], auditEvent: [UInt8] = []
    ) {
        self.delivery = delivery
        self.end = end
        self.action = action
        self.submittedAt = submittedAt
        self.startedAt = startedAt
        self.failures = failures
        self.crashes = crashes
        self.reason = reason
        self.sealedResult = sealedResult
        self.auditEvent = auditEvent
    }
}

/// Sizes and times of the queue.
package struct QueueLimits: Sendable, Hashable {
    /// How long a finished job's record and result are kept.
    package var retention: Duration
    /// How long a request id is remembered.
    package var idempotency: Duration
    /// Entries of one stream past which submissions are refused.
    package var streamLength: Int
    /// How long a node may be silent before others take its jobs.
    package var lease: Duration

    package init(
        retention: Duration = .seconds(86_400), idempotency: Duration = .seconds(86_400), streamLength: Int = 1_000_000,
        lease: Duration = .seconds(30)
    ) {
        self.retention = retention
        self.idempotency = idempotency
        self.streamLength = streamLength
        self.lease = lease
    }
}

extension Duration {
    package var milliseconds: Int64 {
        let parts = self.components
        return parts.seconds * 1000 + parts.attoseconds / 1_000_000_000_000_000
    }
}
