internal import Synchronization

/// Limits a repeated message of the log to one a minute, and counts what it stands for.
package final class LogThrottle: Sendable {
    private let state = Mutex((count: 0, loggedAt: UInt64(0)))

    /// Has logged nothing yet.
    package init() {}

    /// How many there were since the last line, when another is due; nil when none is. `now` is in milliseconds; a clock that
    /// goes back does not silence it.
    package func note(at now: UInt64) -> Int? {
        self.state.withLock { state in
            state.count += 1
            guard state.loggedAt == 0 || now < state.loggedAt || now - state.loggedAt >= 60_000 else { return nil }
            defer { state = (0, max(1, now)) }
            return state.count
        }
    }
}
