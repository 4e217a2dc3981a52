/// Whom a restart concerns (OTP's `strategy`).
package enum RestartStrategy: String, Hashable, Sendable, CaseIterable {
    /// The failed child alone.
    case oneForOne = "one-for-one"
    /// All children: the others are stopped in reverse, then all start in order.
    case oneForAll = "one-for-all"
    /// The failed child and those started after it.
    case restForOne = "rest-for-one"
    /// Any number of like children, started on demand from one template; they stop all at once.
    case simpleOneForOne = "simple-one-for-one"
}
