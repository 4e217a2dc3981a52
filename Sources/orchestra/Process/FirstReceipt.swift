import Synchronization

/// Something that only the first caller gets.
final class FirstReceipt: Sendable {
    private let isTaken = Atomic<Bool>(false)

    /// True for the first call, false for every other.
    func take() -> Bool { !self.isTaken.exchange(true, ordering: .relaxed) }
}
