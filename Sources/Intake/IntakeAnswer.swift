package import Domain

/// What became of a request.
package enum IntakeAnswer: Sendable, Hashable {
    /// For a duplicate: the first job's id and state; the state is nil when its record is gone.
    case accepted(JobID, isDuplicate: Bool, state: JobState?)
    case refused(IntakeRefusal)

    package var isAccepted: Bool { if case .accepted = self { true } else { false } }
}
