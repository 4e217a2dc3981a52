package import Domain

/// A submission as the queue stores it.
package struct SealedSubmission: Hashable, Sendable {
    package let id: JobID
    package let workspace: WorkspaceID
    package let action: ActionName
    package let priority: Priority
    package let start: JobStart
    package let tags: [JobTag]
    /// 16 bytes of the request ID's keyed digest; see `WorkspaceKey.digestKey`. Two submissions with the same digest within the idempotency time are one job.
    package let requestDigest: [UInt8]
    /// 12 bytes of the keyed digest of action and params. They distinguish a repeated request from another one with the same ID.
    package let paramsDigest: [UInt8]
    /// 16 bytes of the unique key's keyed digest.
    package let uniqueDigest: [UInt8]?
    package let tick: ScheduleTick?
    package let envelope: [UInt8]
    /// The key that sealed the envelope. The queue refuses envelopes that were sealed with a key it does not have.
    package let keyID: UInt32
    /// `WorkspaceKey.stamp` of that key; empty for one that is not stored.
    package let keyStamp: [UInt8]
    /// The sealed `JobTerms`; empty when there are none.
    package let sealedTerms: [UInt8]
    package let auditEvent: [UInt8]
}
