package import Domain

/// A discarded or unresolved job, kept for a person.
package struct DeadLetter: Hashable, Sendable {
    package let job: JobID
    /// `discarded` or `unresolved`.
    package let state: JobState
    package let action: String
    package let reason: String
    /// The output of the last run, sealed as a result; empty when there is none, and in lists.
    package let sealedOutput: [UInt8]
    /// When the job ended, in milliseconds since the epoch by the queue's clock.
    package let since: UInt64
}
