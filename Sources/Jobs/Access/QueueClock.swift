internal import Synchronization

/// The time by the clock of Redis, which all nodes share. Deadlines and the times of the audit trail must not depend on the
/// clock of one machine.
package final class QueueClock: Sendable {
    private struct Reading {
        let time: UInt64
        let elapsed: Duration
    }

    private let reading = Mutex<Reading?>(nil)
    private let elapsed: @Sendable () -> Duration
    private let wall: @Sendable () -> UInt64

    /// `elapsed` is monotonic. `wall` is this machine's clock in milliseconds since the epoch; it is used until the first
    /// `set`.
    package init(elapsed: @escaping @Sendable () -> Duration, wall: @escaping @Sendable () -> UInt64) {
        self.elapsed = elapsed
        self.wall = wall
    }

    /// Sets the clock to the current time of Redis, in milliseconds since the epoch.
    package func set(_ time: UInt64) {
        let elapsed = self.elapsed()
        self.reading.withLock { $0 = Reading(time: time, elapsed: elapsed) }
    }

    /// Returns the time in milliseconds since the epoch.
    package func now() -> UInt64 {
        guard let reading = self.reading.withLock({ $0 }) else { return self.wall() }
        let since = max(.zero, self.elapsed() - reading.elapsed).components
        return reading.time + UInt64(since.seconds) * 1000 + UInt64(since.attoseconds / 1_000_000_000_000_000)
    }
}
