internal import Synchronization

/// Counts connections, so that many of them cannot use up the descriptors.
final class ConnectionGate: Sendable {
    private let count = Mutex(0)
    private let limit: Int

    init(limit: Int) { self.limit = limit }

    /// Counts a connection; false when there are too many.
    func enter() -> Bool {
        self.count.withLock { count in
            guard count < self.limit else { return false }
            count += 1
            return true
        }
    }

    /// A connection that was counted has ended.
    func leave() { self.count.withLock { $0 -= 1 } }
}
