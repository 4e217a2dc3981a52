internal import NIOCore
internal import Synchronization

/// A request's body that is read while it is used: its connection is read only when the next part is asked for, so that a
/// body of any size needs the memory of one part. One caller asks for parts; another, which owns the connection, gives them.
final class IncomingBody: Sendable {
    private struct State {
        var waiter: CheckedContinuation<ByteBuffer?, any Error>?
        /// A part whose caller was cancelled before it arrived.
        var kept: ByteBuffer?
        var end: Result<Void, any Error>?
        /// Bytes that may still arrive.
        var left: Int
    }

    /// An element each time that a part is asked for; ends with `close`.
    let demands: AsyncStream<Void>
    /// The most bytes of the body.
    let limit: Int
    private let demand: AsyncStream<Void>.Continuation
    private let state: Mutex<State>

    init(limit: Int) {
        (self.demands, self.demand) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        self.limit = limit
        self.state = Mutex(State(left: limit))
    }

    // MARK: - The caller that uses the body

    /// The next part, nil at the end. Throws what the body ended with, and `CancellationError` when the caller is cancelled; no
    /// part is lost then. Only one caller may wait; another gets `CancellationError`.
    func next() async throws -> ByteBuffer? {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (waiter: CheckedContinuation<ByteBuffer?, any Error>) in
                let result = self.state.withLock { state -> Result<ByteBuffer?, any Error>? in
                    // Under the lock, so that the handler below either comes first or finds the waiter.
                    if Task.isCancelled || state.waiter != nil { return .failure(CancellationError()) }
                    if let kept = state.kept {
                        state.kept = nil
                        return .success(kept)
                    }
                    if let end = state.end { return end.map { nil } }
                    state.waiter = waiter
                    return nil
                }
                if let result { waiter.resume(with: result) } else { self.demand.yield() }
            }
        } onCancel: {
            self.takeWaiter()?.resume(throwing: CancellationError())
        }
    }

    /// Asks for nothing more.
    func close() { self.demand.finish() }

    // MARK: - The owner of the connection

    /// Whether a part is asked for now: a demand may be one whose caller was cancelled.
    var isAwaited: Bool { self.state.withLock { $0.waiter != nil } }

    /// Whether the body has ended, well or not.
    var hasEnded: Bool { self.state.withLock { $0.end != nil } }

    /// Hands a part on. Past the limit the body ends with a `Problem` instead.
    func give(_ part: ByteBuffer) {
        let fits = self.state.withLock { state -> Bool in
            guard part.readableBytes <= state.left else { return false }
            state.left -= part.readableBytes
            if state.waiter == nil { state.kept = part }
            return true
        }
        guard fits else { return self.finish(throwing: Problem.tooLarge(self.limit)) }
        self.takeWaiter()?.resume(returning: part)
    }

    /// Ends the body, well or with an error. Only the first call has an effect.
    func finish(throwing error: (any Error)? = nil) {
        let end: Result<Void, any Error> = error.map { .failure($0) } ?? .success(())
        self.state.withLock { if $0.end == nil { $0.end = end } }
        self.takeWaiter()?.resume(with: end.map { nil })
    }

    private func takeWaiter() -> CheckedContinuation<ByteBuffer?, any Error>? {
        self.state.withLock { state in
            defer { state.waiter = nil }
            return state.waiter
        }
    }
}
