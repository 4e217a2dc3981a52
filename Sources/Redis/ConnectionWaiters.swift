internal import Domain
internal import NIOCore
internal import Synchronization

/// The connection of a client, and the callers that wait for one. Each caller is resumed exactly once: with a connection, at
/// its deadline, when the client stops, or when the caller is cancelled.
///
/// One lock guards the connection and the callers, so that a caller that comes while a connection is made does not miss it.
final class ConnectionWaiters: Sendable {
    private struct Waiter {
        let continuation: CheckedContinuation<RedisConnection, any Error>
        let timer: Scheduled<Void>
    }

    private enum Phase {
        /// There is no connection for this reason.
        case away(String)
        case connected(RedisConnection)
        /// No connection comes, for this reason.
        case stopped(String)
    }

    private struct State {
        var nextID: UInt64 = 0
        var waiting: [UInt64: Waiter] = [:]
        var phase: Phase
    }

    private let state: Mutex<State>

    /// `reason` is the message of `RedisError.unreachable` until `disconnect` gives another one.
    init(reason: String) { self.state = Mutex(State(phase: .away(reason))) }

    /// Returns the connection, or waits for the next one. Throws `RedisError.unreachable` at the deadline and when the client
    /// is stopped, and `CancellationError` when the task is cancelled.
    func connection(timeout: TimeAmount, on loop: any EventLoop) async throws -> RedisConnection {
        if let answer = self.answer(orElse: { _ in }) { return try answer.get() }
        let id = self.state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                // Under the lock, so that a deadline that is over at once finds its caller.
                let answer = self.answer { state in
                    let timer = loop.scheduleTask(in: timeout) { self.fail(id, self.unreachable) }
                    state.waiting[id] = Waiter(continuation: continuation, timer: timer)
                }
                if let answer { return continuation.resume(with: answer.mapError { $0 }) }
                // The handler below may have run before there was anything to resume.
                if Task.isCancelled { self.fail(id, CancellationError()) }
            }
        } onCancel: {
            self.fail(id, CancellationError())
        }
    }

    /// What a caller receives now; without an answer, what `enqueue` does happens under the same lock.
    private func answer(orElse enqueue: (inout State) -> Void) -> Result<RedisConnection, RedisError>? {
        self.state.withLock { state in
            switch state.phase {
            case .connected(let connection): return .success(connection)
            case .stopped(let reason): return .failure(RedisError(code: .unreachable, message: reason))
            case .away:
                enqueue(&state)
                return nil
            }
        }
    }

    /// Gives the connection to all callers that wait and to those that come.
    func connect(_ connection: RedisConnection) {
        for waiter in self.takeAll(.connected(connection)) { waiter.continuation.resume(returning: connection) }
    }

    /// Callers wait from now on; `reason` is given to those whose time is over.
    func disconnect(_ reason: String) { self.state.withLock { $0.phase = .away(reason) } }

    /// Fails all callers that wait, and those that come until the next `disconnect` or `connect`, with
    /// `RedisError.unreachable`.
    func stop(_ reason: String) {
        let waiters = self.takeAll(.stopped(reason))
        let error = self.unreachable
        for waiter in waiters { waiter.continuation.resume(throwing: error) }
    }

    private var unreachable: RedisError {
        let reason =
            switch self.state.withLock({ $0.phase }) {
            case .away(let reason), .stopped(let reason): reason
            case .connected: "no connection to Redis in time"
            }
        return RedisError(code: .unreachable, message: reason)
    }

    private func fail(_ id: UInt64, _ error: any Error) {
        guard let waiter = self.state.withLock({ $0.waiting.removeValue(forKey: id) }) else { return }
        waiter.timer.cancel()
        waiter.continuation.resume(throwing: error)
    }

    private func takeAll(_ phase: Phase) -> [Waiter] {
        let waiters = self.state.withLock { state in
            state.phase = phase
            defer { state.waiting = [:] }
            return Array(state.waiting.values)
        }
        for waiter in waiters { waiter.timer.cancel() }
        return waiters
    }
}
