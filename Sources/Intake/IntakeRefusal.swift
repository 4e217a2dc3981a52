/// Why a request was not stored.
package struct IntakeRefusal: Sendable, Hashable {
    /// The reason, for exit statuses and HTTP status codes.
    package enum Kind: Hashable, Sendable {
        /// The policy does not allow the action; the denial is in the audit trail.
        case notAllowed
        /// The action is unknown or its params are invalid; the denial is in the audit trail.
        case unusable
        /// The request ID was used with other params, or a job with the unique key has not ended.
        case inUse
        /// The workspace has reached its limit of waiting jobs.
        case full
        /// The workspace is in quarantine; the denial is in the audit trail.
        case quarantined
    }

    package let kind: Kind
    /// A sentence for the submitter.
    package let message: String
}
