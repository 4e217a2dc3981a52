internal import Domain
internal import NIOCore
internal import Synchronization

/// Callers that wait for a connection. Each is resumed exactly once: with a connection, at its deadline, or when it is
/// cancelled.
final class ConnectionWaiters: Sendable {
    private struct Waiter {
        let continuation: CheckedContinuation<RedisConnection, any Error>
        let timer: Scheduled<Void>
    }

    private struct State {
        var nextID: UInt64 = 0
        var waiting: [UInt64: Waiter] = [:]
        /// The reason that a caller receives that waited too long.
        var reason: String
    }

    private let state: Mutex<State>

    /// `reason` is the message of `RedisError.unreachable` until `explain` gives another one.
    init(reason: String) { self.state = Mutex(State(reason: reason)) }

    /// Waits for `resume(with:)`. Throws `RedisError.unreachable` at the deadline and `CancellationError` when the task is
    /// cancelled.
    func wait(timeout: TimeAmount, on loop: any EventLoop) async throws -> RedisConnection {
        let id = self.state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let timer = loop.scheduleTask(in: timeout) { self.fail(id, self.unreachable) }
                self.state.withLock { $0.waiting[id] = Waiter(continuation: continuation, timer: timer) }
                // The handler below may have run before there was anything to resume.
                if Task.isCancelled { self.fail(id, CancellationError()) }
            }
        } onCancel: {
            self.fail(id, CancellationError())
        }
    }

    /// Resumes all callers with a connection.
    func resume(with connection: RedisConnection) {
        for waiter in self.takeAll() { waiter.continuation.resume(returning: connection) }
    }

    /// Resumes all callers with `RedisError.unreachable`.
    func failAll() {
        let error = self.unreachable
        for waiter in self.takeAll() { waiter.continuation.resume(throwing: error) }
    }

    /// Sets the reason that callers are given whose time is over.
    func explain(_ reason: String) { self.state.withLock { $0.reason = reason } }

    var unreachable: RedisError { RedisError(code: .unreachable, message: self.state.withLock { $0.reason }) }

    private func fail(_ id: UInt64, _ error: any Error) {
        guard let waiter = self.state.withLock({ $0.waiting.removeValue(forKey: id) }) else { return }
        waiter.timer.cancel()
        waiter.continuation.resume(throwing: error)
    }

    private func takeAll() -> [Waiter] {
        let waiters = self.state.withLock { state in
            defer { state.waiting = [:] }
            return Array(state.waiting.values)
        }
        for waiter in waiters { waiter.timer.cancel() }
        return waiters
    }
}
