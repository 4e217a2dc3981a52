import Domain

@testable import Jobs
@testable import Worker

/// Maintenance, as `LeaseKeeper`.
extension SimulatedLane {
    /// Renews the lease when it is time, and moves what is due.
    func maintain() {
        guard !self.isMaintaining else { return }
        let now = self.simulation.elapsed
        if self.leasing.isRenewalDue(at: now) {
            self.isMaintaining = true
            self.call(.renew(asked: self.node.entries(of: self.number), sentAt: now))
        } else {
            self.moveDue()
        }
    }

    /// A call that would change nothing is left out.
    private func moveDue() {
        let queue = self.simulation.queues[self.number]
        self.isMaintaining = queue.isMoveDue(at: self.simulation.time(of: queue))
        if self.isMaintaining { self.call(.moveDue) }
    }

    func maintained(_ call: Simulation.Call, _ answer: Simulation.Answer) throws {
        switch (call, answer) {
        case (.renew(let asked, let sentAt), .renewal(let renewal)):
            try self.renewed(renewal, asked: asked, sentAt: sentAt)
        case (.held(_, let asked, _), .deliveries(let deliveries)):
            try self.node.dropLost(asked: asked, known: Set(deliveries.map(\.entry)))
            self.moveDue()
        case (.moveDue, .done): self.isMaintaining = false
        case (_, .failure(let error)):
            self.isMaintaining = false
            self.leasing.failed(at: self.simulation.elapsed)
            // The node that removed this one took its jobs. The consumer joins again.
            if case .renew(let asked, _) = call, error.code == .unknownNode {
                try self.node.dropLost(asked: asked, known: [])
            }
        default: throw self.unexpected(call, answer)
        }
    }

    private func renewed(_ renewal: Renewal, asked: Set<EntryReference>, sentAt: Duration) throws {
        let consequence = self.leasing.renewed(
            at: sentAt, dead: renewal.dead, here: asked.count, there: renewal.held)
        for job in renewal.cancelled.sorted(by: { $0.description < $1.description }) { try self.node.cancel(job) }
        if consequence.mayHoldUnknown {
            self.lostAnswer()
            self.signal()
        }
        for name in consequence.rescue { self.call(.rescue(name)) }
        if consequence.mayBeLost { self.call(.held(nil, asked: asked, fence: 0)) } else { self.moveDue() }
    }
}

/// Writing, as `CompletionWriter`.
extension SimulatedLane {
    func write(_ completion: Completion) {
        self.outbox.append(completion)
        self.writeNext()
    }

    func writeNext() {
        guard !self.isWriting, !self.outbox.isEmpty else { return }
        self.isWriting = true
        self.call(.finish(Array(self.outbox.prefix(128))))
    }

    func finished(_ answer: Simulation.Answer) {
        guard case .written(let written) = answer else {
            self.wake(.write, in: self.writePause)
            self.writePause = min(self.writePause * 2, 1000)
            return
        }
        self.isWriting = false
        self.writePause = 20
        let completions = self.outbox.prefix(written.count)
        self.outbox.removeFirst(completions.count)
        self.node.release(completions.map(\.delivery.entry))
        self.writeNext()
        self.node.leaveIfIdle()
    }
}
