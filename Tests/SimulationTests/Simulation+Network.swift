import Domain

@testable import Jobs
@testable import JobsModel
@testable import Worker

/// Calls between nodes and queues.
extension Simulation {
    /// Milliseconds that a message takes.
    var delay: UInt64 {
        self.random(0...20) == 0 && self.isFaulty ? self.random(50...7000) : self.random(0...3)
    }

    /// Sends a call; its answer, or that there is none, comes later.
    func send(_ call: Call, from caller: Caller, number: UInt64) {
        let isLost = self.isFaulty && self.random(0...19) == 0
        let isAnswered = !self.isFaulty || self.random(0...19) > 0
        let delay = self.delay
        if !isLost {
            self.schedule(.arrive(caller, call, number: number, isAnswered: isAnswered), in: delay)
        }
        // The deadline of a call; the call may be carried out after it.
        self.schedule(
            .answer(
                caller, call, number: number, .failure(JobQueueError(code: .unavailable, message: "no answer"))),
            in: isLost || !isAnswered ? self.random(5...5000) : 5000)
    }

    func arrived(_ call: Call, from caller: Caller, number: UInt64, isAnswered: Bool) throws {
        let queue = self.queues[caller.lane]
        guard self.now >= queue.stalledUntil else {
            return self.schedule(
                .arrive(caller, call, number: number, isAnswered: isAnswered),
                in: queue.stalledUntil - self.now + self.random(0...50))
        }
        let answer = self.carryOut(call, by: queue, from: caller)
        self.note("n\(caller.node) \(call.name) in lane \(caller.lane) -> \(answer.name)\(isAnswered ? "" : ", lost")")
        if isAnswered { self.schedule(.answer(caller, call, number: number, answer), in: self.delay) }
        try self.changed(queue)
    }

    private func carryOut(_ call: Call, by queue: SimulatedQueue, from caller: Caller) -> Answer {
        let identity = self.nodes[caller.node].identity(life: caller.life)
        let time = self.time(of: queue)
        do throws(JobQueueError) {
            switch call {
            case .join: return .deliveries(try queue.machine.join(as: identity, at: time))
            case .held(_, _, let fence):
                return .deliveries(try queue.machine.held(by: identity, fence: fence, at: time))
            case .claim(let request):
                if self.options.sabotage == .ignoresHomes { queue.machine.forgetHomes() }
                let claim = try queue.machine.claim(request, as: identity, at: time)
                queue.ledger.claimed(claim.deliveries, at: self.now)
                return .claim(claim)
            case .renew: return .renewal(try queue.machine.renew(as: identity, at: time))
            case .moveDue: _ = queue.machine.moveDue(most: 500, at: time)
            case .rescue(let name):
                if self.options.sabotage != .rescuesNobody { _ = queue.machine.rescue(name, most: 200, at: time) }
            case .finish(let completions):
                return .written(self.finish(completions, by: queue, as: identity, at: time))
            case .leave: queue.machine.leave(as: identity, at: time)
            }
            return .done
        } catch { return .failure(error) }
    }

    private func finish(
        _ completions: [Completion], by queue: SimulatedQueue, as identity: NodeIdentity, at time: UInt64
    ) -> [Bool] {
        if self.options.sabotage == .unfenced { queue.machine.unfence(completions, as: identity) }
        let written = queue.machine.finish(completions, as: identity, at: time)
        for (completion, isWritten) in zip(completions, written) where isWritten {
            guard completion.end == .unresolved, let job = completion.delivery.jobID else { continue }
            self.schedule(.resolve(job, completion.delivery.workspace), in: self.random(1000...20_000))
        }
        return written
    }

    /// Reads what a queue wrote to the audit trail, and passes its bell and its cancellations to the nodes that listen;
    /// a node that misses them finds out at its next look.
    func changed(_ queue: SimulatedQueue) throws {
        queue.needsCheck = true
        try queue.checkHomes(at: self.time(of: queue))
        try queue.ledger.read(queue.machine.takeAudit())
        if queue.takeRing() {
            for node in self.nodes { node.lane(queue.lane)?.ring(in: self.delay) }
        }
        for job in queue.takeCancellations() {
            for node in self.nodes where self.random(0...9) > 0 || !self.isFaulty { try node.cancel(job) }
        }
    }
}

extension QueueMachine {
    /// As in a queue that does not check leases.
    mutating func unfence(_ completions: [Completion], as node: NodeIdentity) {
        self.nodes[node.node.name, default: Node(incarnation: node.incarnation, owner: node.owner, expiry: 0)]
            .incarnation = node.incarnation
        for completion in completions {
            guard let job = completion.delivery.jobID else { continue }
            self.nodes[node.node.name]?.held[.job(job)] = completion.delivery.entry
        }
    }

    mutating func forgetRequests() { self.requests = [:] }

    mutating func forgetHomes() { self.homes = [:] }
}
