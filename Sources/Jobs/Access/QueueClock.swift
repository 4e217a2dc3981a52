internal import Synchronization

/// What time it is by Redis' clock, which all nodes share: deadlines and the times of the audit trail must not depend on what
/// a machine's own clock says.
package final class QueueClock: Sendable {
    private struct Reading {
        let time: UInt64
        let elapsed: Duration
    }

    private let reading = Mutex<Reading?>(nil)
    private let elapsed: @Sendable () -> Duration
    private let wall: @Sendable () -> UInt64

    /// `elapsed` is monotonic; `wall` is this machine's clock in milliseconds since the epoch, until Redis was asked.
    package init(elapsed: @escaping @Sendable () -> Duration, wall: @escaping @Sendable () -> UInt64) {
        self.elapsed = elapsed
        self.wall = wall
    }

    /// Notes what Redis said just now.
    package func set(_ time: UInt64) {
        let elapsed = self.elapsed()
        self.reading.withLock { $0 = Reading(time: time, elapsed: elapsed) }
    }

    /// Milliseconds since the epoch.
    package func now() -> UInt64 {
        guard let reading = self.reading.withLock({ $0 }) else { return self.wall() }
        let since = max(.zero, self.elapsed() - reading.elapsed).components
        return reading.time + UInt64(since.seconds) * 1000 + UInt64(since.attoseconds / 1_000_000_000_000_000)
    }
}
