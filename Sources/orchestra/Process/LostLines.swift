import Synchronization

/// Counts what a log could not write.
final class LostLines: Sendable {
    private let count = Atomic<Int>(0)

    func add() { self.count.add(1, ordering: .relaxed) }

    /// The count since the last call.
    func take() -> Int { self.count.exchange(0, ordering: .relaxed) }
}
