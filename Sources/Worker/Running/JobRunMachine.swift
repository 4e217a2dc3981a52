package import Domain

/// The life of one run of a job on this node. A run ends once: whatever came first decides.
package struct JobRunMachine: Sendable {
    package enum State: Hashable, Sendable {
        case waiting
        case running
        case cancelling(CancellationReason)
        case ended
    }

    package enum Action: Hashable, Sendable {
        case none
        /// Cancel the running handler.
        case cancelHandler
        /// The handler was never started: end at once.
        case endUnstarted(CancellationReason)
    }

    package private(set) var state = State.waiting

    package init() {}

    /// False when the run was cancelled before it began.
    package mutating func started() -> Bool {
        guard self.state == .waiting else { return false }
        self.state = .running
        return true
    }

    /// The first reason stays, but a lost lease outranks all others: then nothing may be written.
    package mutating func cancelled(_ reason: CancellationReason) -> Action {
        switch self.state {
        case .waiting:
            self.state = .cancelling(reason)
            return .endUnstarted(reason)
        case .running:
            self.state = .cancelling(reason)
            return .cancelHandler
        case .cancelling(let first):
            if reason == .leaseLost, first != .leaseLost { self.state = .cancelling(.leaseLost) }
            return .none
        case .ended: return .none
        }
    }

    /// The outcome that counts: the handler's own, unless a cancellation came first.
    package mutating func ended(_ outcome: Outcome) -> Outcome {
        defer { self.state = .ended }
        if case .cancelling(let reason) = self.state {
            // A handler that had finished before it noticed keeps its result, except without a lease.
            if case .completed = outcome, reason != .leaseLost { return outcome }
            return .cancelled(reason)
        }
        return outcome
    }
}
