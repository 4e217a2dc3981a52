internal import Synchronization

/// A signal of which one at most is under way.
final class KeepAlivePending: Sendable {
    private let isRaised = Atomic<Bool>(false)

    /// False when the signal is under way already.
    func raise() -> Bool { !self.isRaised.exchange(true, ordering: .relaxed) }

    /// The signal has been handled.
    func lower() { self.isRaised.store(false, ordering: .relaxed) }
}
