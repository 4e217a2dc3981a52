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
        var waiters: [CheckedContinuation<Void, Never>] = []
    }

    private let guarded = Mutex(Guarded())

    package init() {}

    /// `detail` says why it may be passed.
    package func open(_ detail: String) { self.settle(.open(detail)) }

    package func close(_ reason: String) { self.settle(.closed(reason)) }

    /// Still waits, and for what.
    package func wait(for reason: String) { self.guarded.withLock { $0.state = .waiting(reason) } }

    private func settle(_ state: State) {
        let waiters = self.guarded.withLock { guarded in
            guarded.state = state
            defer { guarded.waiters = [] }
            return guarded.waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Why the node is to claim no jobs now, nil when it may.
    package var reluctance: String? {
        self.guarded.withLock { guarded in
            switch guarded.state {
            case .waiting(let reason), .closed(let reason): reason
            case .open: nil
            }
        }
    }

    /// Returns once programs may run; throws `AgentError` when they may not.
    func pass() async throws {
        // The test settles it within its own limits, whatever becomes of the caller.
        await withCheckedContinuation { (waiter: CheckedContinuation<Void, Never>) in
            let isSettled = self.guarded.withLock { guarded in
                guard case .waiting = guarded.state else { return true }
                guarded.waiters.append(waiter)
                return false
            }
            if isSettled { waiter.resume() }
        }
        try self.guarded.withLock { guarded in
            guard case .closed(let reason) = guarded.state else { return }
            throw AgentError(code: .launchFailed, message: reason)
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
