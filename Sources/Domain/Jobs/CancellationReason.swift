/// Why a run was cancelled. Each reason has different consequences.
package enum CancellationReason: String, Hashable, Sendable {
    /// A client requested the cancellation.
    case user
    /// The time limit of the action or the deadline of the job was reached.
    case timeout
    /// The node is stopping. The job is released, without counting an attempt.
    case drain
    /// The watch found an incident in the job's workspace.
    case security
    /// Another node may hold the job now. Nothing of this run may be written.
    case leaseLost
}
