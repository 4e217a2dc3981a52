internal import DequeModule
internal import Synchronization

/// Detects a storm: more restarts within the last minute, over all supervisors of a process, than a node that is
/// well has in a day. OTP's intensities each see one supervisor; a hundred of them, each within its own budget,
/// can still burn a machine.
package final class StormGuard: Sendable {
    /// Restarts within a minute that are no storm yet.
    package let limit: Int
    private let now: @Sendable () -> Duration
    private let restarts = Mutex<Deque<Duration>>([])

    package static let window = Duration.seconds(60)

    /// Takes the limit of restarts in each window as given; `now` returns the time of a monotonic clock.
    package init(limit: Int, now: @escaping @Sendable () -> Duration = SupervisionEnvironment.monotonicNow) {
        self.limit = limit
        self.now = now
    }

    /// Counts one restart.
    package func restarted() {
        let now = self.now()
        self.restarts.withLock { times in
            times.append(now)
            // What is beyond the limit already makes a storm; older ones add nothing.
            if times.count > self.limit + 1 { times.removeFirst() }
        }
    }

    /// Restarts within the last minute, counted up to one more than the limit.
    package var count: Int {
        let first = self.now() - Self.window
        return self.restarts.withLock { times in
            while let oldest = times.first, oldest < first { times.removeFirst() }
            return times.count
        }
    }

    package var isStorm: Bool { self.count > self.limit }
}
