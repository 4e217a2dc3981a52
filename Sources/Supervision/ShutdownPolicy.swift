/// How a child is asked to end, and for how long it may take (OTP's `shutdown`).
package enum ShutdownPolicy: Hashable, Sendable {
    /// Killed at once, see `ChildSpecification.kill`.
    case brutalKill
    /// Cancelled, then killed when it has not ended within this time.
    case timeout(Duration)
    /// Cancelled and awaited for as long as it takes.
    case infinity
}
