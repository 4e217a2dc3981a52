/// How one run of a job ended.
package enum Outcome: Hashable, Sendable {
    /// The action did what it was asked; `result` is JSON.
    case completed(result: [UInt8])
    /// The run failed; whether it is tried again is the retry policy's to say.
    case failed(Failure)
    /// The policy, or the entry itself, forbids the run; it is never tried again.
    case refused(reason: String)
    /// It may have taken effect or not, and to try again might double that.
    case unknown(reason: String)
    /// Somebody asked for the end.
    case cancelled(CancellationReason)

    /// One word for metrics and audit.
    package var name: String {
        switch self {
        case .completed: "completed"
        case .failed: "failed"
        case .refused: "refused"
        case .unknown: "unknown"
        case .cancelled: "cancelled"
        }
    }
}

/// A run that failed, with what a person needs to understand it.
package struct Failure: Hashable, Sendable {
    package let reason: String
    package let isRetryable: Bool
    /// JSON with the last output, sealed like a result.
    package let detail: [UInt8]
    /// It was ended from outside after it had begun, so that nobody knows how far it had come.
    package let isCutOff: Bool

    package init(reason: String, isRetryable: Bool, detail: [UInt8] = [], isCutOff: Bool = false) {
        self.reason = reason
        self.isRetryable = isRetryable
        self.detail = detail
        self.isCutOff = isCutOff
    }
}

/// Why a run was ended from outside; each has its own consequence, so they are never mixed.
package enum CancellationReason: String, Hashable, Sendable {
    /// A person or program asked.
    case user
    /// The action's time was up.
    case timeout
    /// The node is stopping: the job goes back uncounted.
    case drain
    /// The watch saw an incident of its workspace.
    case security
    /// Another node owns the job now: nothing may be written.
    case leaseLost
}
