import Domain

@testable import Jobs
@testable import JobsModel

/// What clients and operators do.
extension Simulation {
    /// Submits until an answer comes, under one request ID, with a new job ID each time.
    func submit(_ index: Int) throws {
        let request = self.requests[index]
        let queue = self.queue(of: request.workspace)
        let submission = try queue.ledger.submission(index, at: self.time(of: queue), &self.random)
        if self.options.sabotage == .forgetsRequests { queue.machine.forgetRequests() }
        let isCarriedOut = !self.isFaulty || self.random(0...9) > 0
        let isAnswered = !self.isFaulty || self.random(0...9) > 1
        guard isCarriedOut else { return self.schedule(.submit(index), in: self.random(100...5000)) }
        let result = queue.machine.submit([submission], at: self.time(of: queue))[0]
        self.note("request \(index) -> \(result)\(isAnswered ? "" : ", lost")")
        try queue.ledger.submitted(index, result)
        // What a person decided may be lost with the rest; the client that sees the job waiting asks again.
        if case .duplicate(let job, .unresolved) = result {
            self.schedule(.resolve(job, request.workspace), in: self.random(1000...20_000))
        }
        if case .accepted(let job) = result, request.isCancelled {
            self.schedule(.cancel(job, request.workspace), in: self.random(0...20_000))
        }
        if isAnswered {
            queue.ledger.answered(index, result)
            // Some clients submit again although they were answered.
            if self.random(0...3) == 0, self.isFaulty { self.schedule(.submit(index), in: self.random(0...9000)) }
            if case .notUnique = result { self.schedule(.submit(index), in: self.random(500...3000)) }
        } else {
            self.schedule(.submit(index), in: self.random(100...5000))
        }
        try self.changed(queue)
    }

    func cancel(_ job: JobID, in workspace: WorkspaceID) throws {
        let queue = self.queue(of: workspace)
        let outcome = queue.ledger.event("outcome", job)
        let state = queue.machine.cancel(
            job, in: workspace, request: queue.ledger.event("asked", job), outcome: outcome, at: self.time(of: queue))
        self.note("cancel \(job) -> \(state.map { "\($0)" } ?? "none")")
        try self.changed(queue)
    }

    func resolve(_ job: JobID, in workspace: WorkspaceID) throws {
        let queue = self.queue(of: workspace)
        let resolution: Resolution = queue.ledger.tookEffect(job) ? .done : .retry
        let event = queue.ledger.event(resolution == .retry ? "retried" : "resolved", job)
        let isResolved = queue.machine.resolve(
            job, in: workspace, as: resolution, reason: "seen", auditEvent: event, at: self.time(of: queue))
        self.note("resolve \(job) as \(resolution) -> \(isResolved)")
        try self.changed(queue)
    }

    /// A queue loses data. Clients that were answered submit again, as clients do that learn of it.
    func lose(_ queue: SimulatedQueue, keeping snapshot: QueueMachine?) {
        self.note("the queue of lane \(queue.lane) is \(snapshot == nil ? "emptied" : "set back")")
        queue.lose(keeping: snapshot)
        for index in queue.ledger.indices { self.schedule(.submit(index), in: self.random(0...5000)) }
    }
}
