/// The states of a job and the moves between them. The record in Redis holds the state; `running` is
/// derived from the node's lease, so that a dead node's jobs are not "running" for ever.
package enum JobState: String, Hashable, Sendable, CaseIterable {
    case scheduled
    case available
    case running
    case retryable
    case completed
    case cancelled
    case discarded
    /// It may have taken effect or not, and to try again might double that: it waits for a person's word.
    case unresolved

    /// True when the job ended and will never run again by itself.
    package var isFinal: Bool {
        switch self {
        case .completed, .cancelled, .discarded, .unresolved: true
        case .scheduled, .available, .running, .retryable: false
        }
    }

    /// The states that may follow this one by themselves; a person may put a discarded job back and say what became of
    /// an unresolved one. `running` → `available` is a hand-back or a take-over.
    package var successors: Set<JobState> {
        switch self {
        case .scheduled: [.available, .cancelled]
        case .available: [.running, .cancelled, .discarded]
        case .running: [.completed, .retryable, .available, .cancelled, .discarded, .unresolved]
        case .retryable: [.available, .cancelled]
        case .completed, .cancelled, .discarded, .unresolved: []
        }
    }
}
