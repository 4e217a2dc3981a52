package import Domain

/// The result of one submission.
package enum SubmissionResult: Hashable, Sendable {
    case accepted(JobID)
    /// The same request was stored before. Carries the ID of that job and its state, nil when its record has expired.
    case duplicate(JobID, state: JobState?)
    /// The request ID was used before with other params; nothing was stored.
    case conflict(first: JobID)
    /// A job with the same unique key has not ended; nothing was stored.
    case notUnique(JobID, state: JobState?)
    /// The workspace is in quarantine until a person releases it; nothing was stored.
    case quarantined
    /// The workspace's stream or its delayed jobs are at their bound; nothing was stored. The caller may try again later.
    case full
    /// The queue does not have the key that sealed the envelope, because Redis was emptied or replaced; nothing was stored.
    case staleKey
}
