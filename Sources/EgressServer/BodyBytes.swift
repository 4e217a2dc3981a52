internal import Synchronization

/// Bounds the bodies that are held at the same time, for one launch or for the server.
final class BodyBytes: Sendable {
    private let limit: Int
    private let held = Mutex(0)

    init(limit: Int) { self.limit = limit }

    /// Takes a number of bytes; false when there are not so many left.
    func take(_ count: Int) -> Bool {
        self.held.withLock { held in
            guard held + count <= self.limit else { return false }
            held += count
            return true
        }
    }

    /// Gives back what was taken.
    func give(_ count: Int) { self.held.withLock { $0 -= count } }
}
