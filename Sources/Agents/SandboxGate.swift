package import Domain
internal import Synchronization

/// Lets programs into sandboxes once the node's own escape test has been passed; nothing runs before, and nothing at all
/// after a failure. Agents that live already are taken back without it.
package final class SandboxGate: Sendable {
    private enum State {
        case waiting(String)
        case open(String)
        case closed(String)
    }

    private struct Guarded {
        var state = State.waiting("the escape test runs")
        var waiters: [UInt64: CheckedContinuation<Void, Never>] = [:]
        var lastWaiter: UInt64 = 0
    }

    private let guarded = Mutex(Guarded())

    /// Begins in the waiting state: no program may pass before `open`.
    package init() {}

    /// `detail` says why it may be passed.
    package func open(_ detail: String) { self.settle(.open(detail)) }

    /// Lets no program pass any more; `reason` is what callers get.
    package func close(_ reason: String) { self.settle(.closed(reason)) }

    /// Keeps callers waiting; `reason` says for what.
    package func wait(for reason: String) { self.guarded.withLock { $0.state = .waiting(reason) } }

    private func settle(_ state: State) {
        let waiters = self.guarded.withLock { guarded in
            guarded.state = state
            defer { guarded.waiters = [:] }
            return guarded.waiters.values
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Why the node is to claim no jobs now, nil when it may.
    package var pauseReason: String? {
        self.guarded.withLock { guarded in
            switch guarded.state {
            case .waiting(let reason), .closed(let reason): reason
            case .open: nil
            }
        }
    }

    /// Returns once programs may run; throws `AgentError.hostUnavailable` when they may not, `CancellationError` at once when the
    /// caller is cancelled meanwhile.
    func pass() async throws {
        let number = self.guarded.withLock { guarded in
            guarded.lastWaiter += 1
            return guarded.lastWaiter
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { (waiter: CheckedContinuation<Void, Never>) in
                let isSettled = self.guarded.withLock { guarded in
                    // Cancelled before this: the handler below has run already and found no waiter.
                    guard case .waiting = guarded.state, !Task.isCancelled else { return true }
                    guarded.waiters[number] = waiter
                    return false
                }
                if isSettled { waiter.resume() }
            }
        } onCancel: {
            self.guarded.withLock { $0.waiters.removeValue(forKey: number) }?.resume()
        }
        try self.guarded.withLock { guarded in
            guard case .closed(let reason) = guarded.state else { return }
            throw AgentError(code: .hostUnavailable, message: reason)
        }
        try Task.checkCancellation()
    }

    package var check: HealthCheck {
        self.guarded.withLock { guarded in
            switch guarded.state {
            case .open(let detail): HealthCheck("sandbox", isHealthy: true, detail: detail)
            case .waiting(let reason), .closed(let reason):
                HealthCheck("sandbox", isHealthy: false, detail: reason)
            }
        }
    }
}
