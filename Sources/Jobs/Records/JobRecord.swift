package import Domain

/// A job as people see it: its record, and where it runs.
package struct JobRecord: Hashable, Sendable {
    package let id: JobID
    package let state: JobState
    package let action: String
    /// Milliseconds since the epoch; 0 when the job has not run, or has not ended yet.
    package let startedAt: UInt64
    /// Milliseconds since the epoch; 0 when the job has not ended.
    package let finishedAt: UInt64
    package let failures: Int
    package let crashes: Int
    /// The node that runs the job or ran it last; empty when there is none.
    package let node: String
    package let reason: String
    package let tags: [String]
    /// Its text is still sealed; see `JobEnvelope.progress(of:in:keys:)`.
    package let progress: SealedProgress?
    /// The `JobTerms`, still sealed; empty when there are none.
    package let sealedTerms: [UInt8]
    /// The result, still sealed; empty when there is none.
    package let sealedResult: [UInt8]

    /// Milliseconds since the epoch.
    package var submittedAt: UInt64 { self.id.milliseconds }

    /// The record as it appears in lists.
    var withoutResult: JobRecord {
        JobRecord(
            id: self.id, state: self.state, action: self.action, startedAt: self.startedAt,
            finishedAt: self.finishedAt, failures: self.failures, crashes: self.crashes, node: self.node,
            reason: self.reason, tags: self.tags, progress: self.progress,
            sealedTerms: self.sealedTerms, sealedResult: [])
    }
}
