package import Domain

/// Lets programs into sandboxes once the node's own escape test has been passed; nothing runs before, and nothing at all
/// after a failure. Agents that live already are taken back without it.
package actor SandboxGate {
    private enum State {
        case waiting
        case open(String)
        case closed(String)
    }

    private var state: State
    private var waiters: [CheckedContinuation<Void, Never>] = []

    package init() { self.state = .waiting }

    /// `detail` says why it may be passed.
    package func open(_ detail: String) { self.settle(.open(detail)) }

    package func close(_ reason: String) { self.settle(.closed(reason)) }

    private func settle(_ state: State) {
        self.state = state
        let waiters = self.waiters
        self.waiters = []
        for waiter in waiters { waiter.resume() }
    }

    /// Returns once programs may run; throws `AgentError` when they may not.
    func pass() async throws {
        if case .waiting = self.state {
            // Settled within the test's own limits, whatever becomes of the caller.
            await withCheckedContinuation { self.waiters.append($0) }
        }
        if case .closed(let reason) = self.state { throw AgentError(code: .launchFailed, message: reason) }
        try Task.checkCancellation()
    }

    package var check: HealthCheck {
        switch self.state {
        case .waiting: HealthCheck("sandbox", isHealthy: false, detail: "the escape test runs")
        case .open(let detail): HealthCheck("sandbox", isHealthy: true, detail: detail)
        case .closed(let reason): HealthCheck("sandbox", isHealthy: false, detail: reason)
        }
    }
}
