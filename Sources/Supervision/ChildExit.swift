/// Why a child ended.
package enum ChildExit: Hashable, Sendable {
    /// It returned.
    case normal
    /// It was cancelled by its supervisor, or threw `ChildShutdown`.
    case shutdown(String?)
    /// It was a supervisor that had spent its restart budget: what OTP's supervisors call `shutdown`, too.
    case gaveUp(String)
    /// It threw.
    case failed(String)
    /// It ended only after it was killed.
    case killed
    /// It gave no heartbeat for this long and was instructed to end.
    case hung(Duration)

    /// True for what restarts a transient child.
    package var isAbnormal: Bool {
        switch self {
        case .normal, .shutdown, .gaveUp: false
        case .failed, .killed, .hung: true
        }
    }

    /// One of a few words, fit for a metric's label.
    package var label: String {
        switch self {
        case .normal: "return"
        case .shutdown: "shutdown"
        case .gaveUp: "gave-up"
        case .failed: "failure"
        case .killed: "killed"
        case .hung: "hung"
        }
    }
}

extension ChildExit: CustomStringConvertible {
    package var description: String {
        switch self {
        case .normal: "it returned"
        case .gaveUp(let reason): reason
        case .shutdown(nil): "shutdown"
        case .shutdown(let detail?): "shutdown: \(detail)"
        case .failed(let reason): reason
        case .killed: "it was killed"
        case .hung(let silence): "no heartbeat for \(silence)"
        }
    }
}
