package import Domain

/// A person's decision on an unresolved job.
package enum Resolution: String, Hashable, Sendable, CaseIterable {
    /// It took effect.
    case done
    /// It did not take effect and is not to be tried again.
    case failed
    /// It did not take effect and is to be tried again.
    case retry

    /// The state that the job has then.
    package var state: JobState {
        switch self {
        case .done: .completed
        case .failed: .discarded
        case .retry: .available
        }
    }
}
