/// Why a request was not stored.
package struct IntakeRefusal: Sendable, Hashable {
    package enum Kind: Hashable, Sendable {
        /// The policy does not allow the action; the denial is in the audit trail.
        case notAllowed
        /// The action or its params cannot be used; the denial is in the audit trail.
        case unusable
        /// The request id was used for other params, or a job with the unique key has not ended.
        case inUse
        /// The workspace has as many waiting jobs as it may.
        case full
        /// The workspace is in quarantine; the denial is in the audit trail.
        case quarantined
    }

    package let kind: Kind
    /// A sentence for the submitter.
    package let message: String
}
