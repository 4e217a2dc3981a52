import Synchronization

/// The probe's port once it is bound, and the end of the drain.
final class PortBox: Sendable {
    private let port = Atomic<Int>(0)
    private let ends: AsyncStream<Void>
    private let end: AsyncStream<Void>.Continuation

    init() { (self.ends, self.end) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1)) }

    /// 0 before the port is bound.
    var value: Int { self.port.load(ordering: .relaxed) }

    func set(_ port: Int) { self.port.store(port, ordering: .relaxed) }

    /// The drain has ended.
    func finish() { self.end.finish() }

    /// Returns after `finish`, or when the task is cancelled.
    func finished() async { for await _ in self.ends {} }
}
