package import Domain

/// What a node reports of a delivery when it is done with it.
package struct Completion: Sendable {
    package enum End: Hashable, Sendable {
        case completed
        case cancelled
        /// Given up; kept as a dead letter.
        case discarded
        /// Nobody knows whether it took effect; kept for a person's word.
        case unresolved
        /// To be tried again after the delay.
        case retry(after: Duration)
        /// Handed back unrun or undone, not counted.
        case released

        /// The state in which it leaves the job.
        package var state: JobState {
            switch self {
            case .completed: .completed
            case .cancelled: .cancelled
            case .discarded: .discarded
            case .unresolved: .unresolved
            case .retry: .retryable
            case .released: .available
            }
        }
    }

    package let delivery: Delivery
    package let end: End
    package let action: String
    package let tags: [JobTag]
    /// How long the run took.
    package let runTime: Duration
    package let failures: Int
    package let crashes: Int
    package let reason: String
    package let sealedResult: [UInt8]
    package let auditEvent: [UInt8]

    package init(
        delivery: Delivery, end: End, action: String, tags: [JobTag] = [], runTime: Duration = .zero, failures: Int,
        crashes: Int, reason: String = "", sealedResult: [UInt8] = [], auditEvent: [UInt8] = []
    ) {
        self.delivery = delivery
        self.end = end
        self.action = action
        self.tags = tags
        self.runTime = runTime
        self.failures = failures
        self.crashes = crashes
        self.reason = reason
        self.sealedResult = sealedResult
        self.auditEvent = auditEvent
    }
}
