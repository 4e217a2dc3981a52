package import Domain

/// The result of one request.
package enum IntakeAnswer: Sendable, Hashable {
    /// For a duplicate these are the ID and the state of the first job. The state is nil for a new job, and when the record
    /// of the first job has expired.
    case accepted(JobID, isDuplicate: Bool, state: JobState?)
    case refused(IntakeRefusal)

    package var isAccepted: Bool { if case .accepted = self { true } else { false } }
}
