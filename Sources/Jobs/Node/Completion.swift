package import Domain

/// What a node reports when it releases a delivery.
package struct Completion: Sendable {
    /// How the delivery ended.
    package enum End: Hashable, Sendable {
        case completed
        case cancelled
        /// Kept as a dead letter.
        case discarded
        /// It may or may not have taken effect; kept as a dead letter for a person's decision.
        case unresolved
        /// To be tried again after the delay.
        case retry(after: Duration)
        /// Handed back without counting an attempt: it did not run, or its effect was undone.
        case released

        /// The state that the job has then.
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
    /// Failed runs so far, this one included.
    package let failures: Int
    /// Runs so far that ended with their node.
    package let crashes: Int
    package let reason: String
    /// The `JobTerms`, sealed by `JobEnvelope`; empty when there are none.
    package let sealedTerms: [UInt8]
    /// Sealed by `JobEnvelope`; empty when there is none.
    package let sealedResult: [UInt8]
    /// Stored with the outcome in one step; empty for none.
    package let auditEvent: [UInt8]
    /// The node could not launch the job and has no files of its workspace: it is not to be its home any more.
    package let leavesHome: Bool

    /// Takes the parts as given; writes nothing. `JobQueue.finish` writes the completion.
    package init(
        delivery: Delivery, end: End, action: String, tags: [JobTag] = [], runTime: Duration = .zero, failures: Int,
        crashes: Int, reason: String = "", sealedTerms: [UInt8] = [], sealedResult: [UInt8] = [],
        auditEvent: [UInt8] = [], leavesHome: Bool = false
    ) {
        self.delivery = delivery
        self.end = end
        self.action = action
        self.tags = tags
        self.runTime = runTime
        self.failures = failures
        self.crashes = crashes
        self.reason = reason
        self.sealedTerms = sealedTerms
        self.sealedResult = sealedResult
        self.auditEvent = auditEvent
        self.leavesHome = leavesHome
    }
}
