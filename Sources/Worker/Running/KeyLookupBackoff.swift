package import Domain
internal import Synchronization

/// How long jobs wait whose workspace's key cannot be looked up now.
///
/// A pause lasts as long as the look-ups of the workspace have been failing, at least half a second and at most ten: each
/// one doubles the outage so far, however many jobs share it, and a short outage delays them for a short time.
package final class KeyLookupBackoff: Sendable {
    /// Milliseconds since the epoch.
    private struct Outage {
        let since: UInt64
        var last: UInt64
    }

    private let outages = Mutex<[WorkspaceID: Outage]>([:])

    private static let shortest: UInt64 = 500
    private static let longest: UInt64 = 10_000
    /// Workspaces that are remembered; past it the pauses of all begin again.
    private static let capacity = 10_000

    /// Begins without any outages.
    package init() {}

    /// Notes a look-up that failed at `now`; returns the pause before the next one.
    package func failed(_ workspace: WorkspaceID, at now: UInt64) -> Duration {
        self.outages.withLock { outages in
            var outage = outages[workspace] ?? Outage(since: now, last: now)
            // After a long gap, or a clock that was set back, it is another outage.
            if now < outage.last || now - outage.last > 3 * Self.longest { outage = Outage(since: now, last: now) }
            outage.last = now
            if outages.count >= Self.capacity { outages.removeAll() }
            outages[workspace] = outage
            return .milliseconds(min(max(now - outage.since, Self.shortest), Self.longest))
        }
    }

    /// Notes a look-up that succeeded.
    package func succeeded(_ workspace: WorkspaceID) {
        self.outages.withLock { outages in
            if !outages.isEmpty { outages[workspace] = nil }
        }
    }
}
