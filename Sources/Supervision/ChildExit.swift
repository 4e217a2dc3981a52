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

/// Thrown by a child that ends on purpose, as `exit(shutdown)` and `exit({shutdown, Detail})` do: a permanent
/// child is restarted, a transient one is not.
package struct ChildShutdown: Error, Hashable {
    package let detail: String?

    /// Takes the detail as given; nil for a shutdown without one.
    package init(_ detail: String? = nil) { self.detail = detail }
}

/// Thrown by a child before it is ready when it is not to run, which is no failure (OTP's `ignore`).
package struct ChildIgnored: Error, Hashable {
    /// Has no parts.
    package init() {}
}

/// How the first moments of a child ended when it did not become ready.
enum StartFailure: Hashable, Sendable {
    case ignored
    case failed(String)
}
