import Synchronization

/// Counts what happens between two lines of the log, of which there is one a minute.
final class LogThrottle: Sendable {
    private let state = Mutex((count: 0, loggedAt: UInt64(0)))

    /// How many there were since the last line, when another is due. `now` is in milliseconds.
    func note(at now: UInt64) -> Int? {
        self.state.withLock { state in
            state.count += 1
            guard now < state.loggedAt || now - state.loggedAt >= 60_000 else { return nil }
            defer { state = (0, now) }
            return state.count
        }
    }
}
