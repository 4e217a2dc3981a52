package import Domain

/// The state of one run of a job on this node. A run ends once; the first event decides how.
package struct JobRunMachine: Sendable {
    /// The state of a run.
    package enum State: Hashable, Sendable {
        /// Not started.
        case waiting
        case running
        /// Cancelled, but not ended yet.
        case cancelling(CancellationReason)
        case ended
    }

    /// What follows from a cancellation.
    package enum Action: Hashable, Sendable {
        case none
        /// Cancel the running handler.
        case cancelHandler
        /// The handler has not started and must not start.
        case endUnstarted(CancellationReason)
    }

    package private(set) var state = State.waiting

    /// Begins in the state `waiting`.
    package init() {}

    /// The run starts. Returns false when it was cancelled before, or has started already.
    package mutating func started() -> Bool {
        guard self.state == .waiting else { return false }
        self.state = .running
        return true
    }

    /// The run is cancelled. The first reason stays, except that a lost lease replaces any other: nothing may be written then.
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

    /// The run ends with the outcome of the handler. Returns the effective outcome: that one, unless a cancellation came
    /// first.
    package mutating func ended(_ outcome: Outcome) -> Outcome {
        defer { self.state = .ended }
        if case .cancelling(let reason) = self.state {
            // A handler that completed before it saw the cancellation keeps its result, unless the lease is lost.
            if case .completed = outcome, reason != .leaseLost { return outcome }
            return .cancelled(reason)
        }
        return outcome
    }
}
