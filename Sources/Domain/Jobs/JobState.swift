/// The states of a job and the transitions between them. The record in Redis stores the state. `running` is derived from
/// the lease of the node, so that the jobs of a dead node do not stay in it.
package enum JobState: String, Hashable, Sendable, CaseIterable {
    case scheduled
    case available
    case running
    case retryable
    case completed
    case cancelled
    case discarded
    /// The job may have taken effect, and another attempt could repeat the effect. It waits for a person to decide.
    case unresolved
    /// Redis lost the entry of the waiting job, and its params with it. It cannot run; submit it again.
    case lost

    /// True when the job has ended and does not run again without a decision by a person.
    package var isFinal: Bool {
        switch self {
        case .completed, .cancelled, .discarded, .unresolved, .lost: true
        case .scheduled, .available, .running, .retryable: false
        }
    }

    /// The states that can follow without a decision by a person. (A person can requeue a discarded job and resolve an
    /// unresolved one.) `running` → `available` is a release or a rescue.
    package var successors: Set<JobState> {
        switch self {
        case .scheduled: [.available, .cancelled]
        case .available: [.running, .cancelled, .discarded, .lost]
        case .running: [.completed, .retryable, .available, .cancelled, .discarded, .unresolved]
        case .retryable: [.available, .cancelled]
        case .completed, .cancelled, .discarded, .unresolved, .lost: []
        }
    }
}
