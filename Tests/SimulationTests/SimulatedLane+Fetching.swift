import Domain

@testable import Jobs
@testable import Worker

/// Fetching, as `Consumer`.
extension SimulatedLane {
    private var sabotage: Sabotage? { self.simulation.options.sabotage }

    /// Lets the consumer look again soon; what comes while it is busy is kept.
    func signal() {
        guard !self.isSignalled else { return }
        self.isSignalled = true
        if self.isConsuming, self.fetchCall == nil, !self.isSleeping {
            self.wake(.fetch, in: self.simulation.random(0...1))
        }
    }

    /// A call of the consumer got no answer.
    func lostAnswer() {
        if self.sabotage != .forgetsLostClaims { self.fetching.failed() }
    }

    /// Takes a step when no call is in progress.
    func fetch() {
        guard self.isConsuming, self.fetchCall == nil, !self.isSleeping else {
            self.isSignalled = true
            return
        }
        self.isSignalled = false
        self.isRefused = false
        let step = self.fetching.next(isPaused: self.node.isPaused)
        if !step.wantsSlot, !self.keepsPlace(at: step) { self.node.withdraw(lane: self.number) }
        switch step {
        case .wait: break
        case .join:
            self.reconciliation = self.node.beginReconciliation()
            self.askedAtJoin = self.node.entries(of: self.number)
            self.fetchCall = self.call(.join)
        case .askHeld(let fence):
            self.reconciliation = self.node.beginReconciliation()
            self.fetchCall = self.call(.held(self.reconciliation, asked: [], fence: fence))
        case .claim(let number):
            self.reserved = self.node.reserve(for: self.number)
            self.isRefused = self.reserved == 0
            guard !self.isRefused else { return }
            self.claimedAt = self.simulation.now
            self.fetchCall = self.call(
                .claim(
                    ClaimRequest(
                        most: self.reserved, quantum: ClaimRequest.quantum(for: self.reserved),
                        share: Simulation.share, held: self.node.holdings.countsByWorkspace, number: number)))
        }
    }

    private func keepsPlace(at step: FetchMachine.Step) -> Bool {
        switch step {
        case .wait: self.sabotage == .keepsPlaceWhenIdle
        case .join, .askHeld: self.sabotage == .keepsPlaceInOutage
        case .claim: true
        }
    }

    func fetched(_ call: Simulation.Call, _ answer: Simulation.Answer) throws {
        self.fetchCall = nil
        let question = self.reconciliation
        self.reconciliation = nil
        switch (call, answer) {
        case (.join, .deliveries(let deliveries)):
            try self.node.dropLost(asked: self.askedAtJoin, known: Set(deliveries.map(\.entry)))
            self.fetching.joined()
            try self.node.begin(self.node.admit(deliveries, answering: question))
        case (.held, .deliveries(let deliveries)):
            self.fetching.receivedHeld()
            try self.node.begin(self.node.admit(deliveries, answering: question))
        case (.claim, .claim(let claim)):
            self.fetching.claimed(hasMore: claim.hasMore)
            try self.node.begin(self.admit(claim.deliveries))
            // Nothing came: it waits for a signal, unless there was one meanwhile.
            if claim.deliveries.isEmpty, claim.dropped == 0 {
                if self.sabotage == .keepsPlaceWhenIdle { self.node.keepPlace(of: self.number) }
                guard self.isSignalled else { return }
            }
        case (_, .failure(let error)):
            self.giveUp(question)
            guard error.code == .unknownNode else {
                self.lostAnswer()
                self.isSleeping = true
                return self.wake(.resume, in: 200)
            }
            self.fetching.forgotten()
        default: throw self.unexpected(call, answer)
        }
        self.fetch()
    }

    /// Holds what the claim brought, and returns its slots.
    private func admit(_ deliveries: [Delivery]) -> [Delivery] {
        defer { self.reserved = 0 }
        return self.node.admit(deliveries, intoReserved: self.reserved)
    }

    private func giveUp(_ question: Holdings.Reconciliation?) {
        if let question { self.node.abandon(question) }
        if self.reserved > 0 { _ = self.admit([]) }
    }

    /// The consumer ends, whatever it does now, and is restarted after a pause in milliseconds.
    func endConsumer(restartAfter pause: UInt64) {
        guard self.isConsuming else { return }
        self.isConsuming = false
        self.isSleeping = false
        if let call = self.fetchCall {
            self.fetchCall = nil
            self.abandon(call)
            self.giveUp(self.reconciliation)
            self.reconciliation = nil
        }
        if self.sabotage != .keepsPlaceAfterEnd { self.node.withdraw(lane: self.number) }
        self.wake(.begin, in: pause)
    }
}
