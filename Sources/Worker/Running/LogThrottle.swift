internal import Synchronization

/// Limits a repeated log message to one a minute.
final class LogThrottle: Sendable {
    private let last = Atomic<UInt64>(0)

    /// Whether the message may be logged at `now`, in milliseconds since the epoch. If so, counts it as logged.
    func isDue(at now: UInt64) -> Bool {
        let last = self.last.load(ordering: .relaxed)
        guard last == 0 || now > last + 60_000 || now < last else { return false }
        return self.last.compareExchange(expected: last, desired: max(1, now), ordering: .relaxed).exchanged
    }
}
