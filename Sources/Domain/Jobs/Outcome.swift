/// How one run of a job ended.
package enum Outcome: Hashable, Sendable {
    /// The run succeeded; `result` is JSON.
    case completed(result: [UInt8])
    /// The run failed. The retry policy decides whether there is another attempt.
    case failed(Failure)
    /// The policy denied the run, or the entry is invalid. There is no other attempt.
    case refused(reason: String)
    /// The run may have taken effect, and another attempt could repeat the effect.
    case unknown(reason: String)
    /// This node could not start the run, for a reason of its own. The job goes back to the queue and no attempt counts.
    case notStarted(reason: String, hasFiles: Bool)
    /// The run was cancelled.
    case cancelled(CancellationReason)

    /// The label in metrics and logs.
    package var name: String {
        switch self {
        case .completed: "completed"
        case .failed: "failed"
        case .refused: "refused"
        case .unknown: "unknown"
        case .notStarted: "not_started"
        case .cancelled: "cancelled"
        }
    }
}
