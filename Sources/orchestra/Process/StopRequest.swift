import Synchronization

/// A stop that the process itself asks for, because its output failed; in addition to signals.
final class StopRequest: Sendable {
    private let number = Atomic<Int32>(0)
    private let requests: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation

    init() { (self.requests, self.continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1)) }

    /// The system's error that was the reason, 0 when no stop was requested.
    var error: Int32 { self.number.load(ordering: .relaxed) }

    /// Requests the stop; later requests change nothing.
    func request(because error: Int32) {
        _ = self.number.compareExchange(expected: 0, desired: error, ordering: .relaxed)
        self.continuation.finish()
    }

    /// Returns at the first request, or when the task is cancelled.
    func requested() async { for await _ in self.requests {} }
}
