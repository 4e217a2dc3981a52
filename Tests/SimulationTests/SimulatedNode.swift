import Domain

@testable import Jobs
@testable import Worker

/// A node of the simulation: the product's decisions, carried by events.
final class SimulatedNode {
    private struct Run {
        let delivery: Delivery
        let startedAt: UInt64
        var cancellation: CancellationReason?
        var hasEnded = false
    }

    private struct Item {
        let completion: Completion
        var mayHaveBeenWritten = false
    }

    let index: Int
    private let name: NodeID
    private unowned let simulation: Simulation
    private(set) var life: UInt64 = 0
    private var isAlive = false
    private var isGone = false
    private var standsStillUntil: UInt64 = 0
    private var isDraining = false

    private var fetching = FetchMachine()
    private var leasing = LeaseMachine(term: Simulation.limits.lease)
    private var holdings = Holdings(capacity: 8)
    private var runs: [EntryReference: Run] = [:]
    private var outbox: [Item] = []
    private var isWriting = false
    private var isFetching = false
    private var isTicking = false
    private var wasRung = false
    private var reconciliation: Holdings.Reconciliation?
    private var askedAtJoin: Set<EntryReference> = []
    private var reserved = 0
    private var nextCall: UInt64 = 0
    private var openCalls: Set<UInt64> = []
    private var writePause: UInt64 = 20

    init(index: Int, simulation: Simulation) throws {
        self.index = index
        self.name = try NodeID("n\(index)")
        self.simulation = simulation
    }

    func identity(life: UInt64) -> NodeIdentity {
        NodeIdentity(node: self.name, incarnation: Incarnation(value: life), owner: "machine-\(self.index)")
    }

    var isIdle: Bool { !self.isAlive || self.holdings.count == 0 && self.outbox.isEmpty }

    // MARK: - Life

    func start() {
        guard !self.isAlive, !self.isGone else { return }
        self.life += 1
        self.isAlive = true
        self.isDraining = false
        self.standsStillUntil = 0
        self.fetching = FetchMachine()
        self.leasing = LeaseMachine(term: Simulation.limits.lease)
        self.holdings = Holdings(capacity: 8)
        self.runs = [:]
        self.outbox = []
        self.isWriting = false
        self.isFetching = false
        self.reserved = 0
        self.isTicking = false
        self.wasRung = false
        self.writePause = 20
        self.openCalls = []
        self.reconciliation = nil
        self.fetching.began()
        self.leasing.began(at: self.simulation.elapsed)
        self.simulation.schedule(.wake(node: self.index, life: self.life, .fetch), in: 0)
        self.simulation.schedule(.wake(node: self.index, life: self.life, .tick), in: 500)
    }

    func die() { self.isAlive = false }

    /// It does not come back.
    func vanish() {
        self.isAlive = false
        self.isGone = true
    }

    func standStill(until time: UInt64) { self.standsStillUntil = max(self.standsStillUntil, time) }

    /// How long it stands still yet; nil when it does not.
    func pause(at now: UInt64) -> UInt64? {
        self.isAlive && now < self.standsStillUntil ? self.standsStillUntil - now : nil
    }

    /// Ends its runs as a drain without patience does, hands back, leaves, and is started again.
    func drain() throws {
        guard self.isAlive, !self.isDraining else { return }
        self.isDraining = true
        self.fetching.drained()
        for entry in self.runs.keys.sorted(by: Self.order) { try self.end(entry, .drain) }
        self.leaveIfIdle()
        self.simulation.schedule(.kill(self.index), in: 8000)
    }

    private func leaveIfIdle() {
        if self.isDraining, self.holdings.count == 0 { self.call(.leave) }
    }

    // MARK: - Events

    func ring(in delay: UInt64) {
        guard self.isAlive, !self.wasRung else { return }
        self.wasRung = true
        self.simulation.schedule(.wake(node: self.index, life: self.life, .fetch), in: delay)
    }

    func cancel(_ job: JobID) throws {
        guard self.isAlive, self.pause(at: self.simulation.now) == nil else { return }
        for entry in self.holdings.cancel(job, .user).sorted(by: Self.order) { try self.end(entry, .user) }
    }

    func woken(_ wake: Simulation.Wake, life: UInt64) throws {
        guard self.isAlive, life == self.life else { return }
        switch wake {
        case .fetch:
            if self.wasRung { self.fetching.rang() }
            self.wasRung = false
            self.fetch()
        case .tick:
            self.simulation.schedule(.wake(node: self.index, life: self.life, .tick), in: 500)
            // The blocking read's limit: it looks at least this often.
            if self.simulation.random(0...3) == 0 {
                self.fetching.rang()
                self.fetch()
            }
            guard !self.isTicking else { return }
            self.isTicking = true
            self.call(.moveDue)
        case .write: self.write()
        }
    }

    private func call(_ call: Simulation.Call) {
        self.nextCall += 1
        self.openCalls.insert(self.nextCall)
        self.simulation.send(call, from: self, number: self.nextCall)
    }

    func answered(_ call: Simulation.Call, _ number: UInt64, _ answer: Simulation.Answer, life: UInt64) throws {
        guard self.isAlive, life == self.life, self.openCalls.remove(number) != nil else { return }
        if case .failure(let error) = answer, error.isPermanent {
            self.simulation.note("\(self.name) ends: \(error.code)")
            self.die()
            return self.simulation.schedule(.start(self.index), in: 1000)
        }
        switch call {
        case .join, .claim: try self.fetched(call, answer)
        case .held(let reconciliation, let asked, _):
            if reconciliation == nil {
                self.isTicking = false
                guard case .deliveries(let deliveries) = answer else {
                    return self.leasing.failed(at: self.simulation.elapsed)
                }
                try self.dropLost(asked: asked, known: Set(deliveries.map(\.entry)))
            } else {
                try self.fetched(call, answer)
            }
        case .moveDue, .rescue: try self.maintained(call, answer)
        case .renew: try self.maintained(call, answer)
        case .finish: try self.written(answer)
        case .leave: break
        }
    }

    // MARK: - Fetching, as `Consumer`

    private func fetch() {
        guard !self.isFetching else { return }
        switch self.fetching.next(isPaused: false) {
        case .wait: return
        case .join:
            self.reconciliation = self.holdings.beginReconciliation()
            self.askedAtJoin = self.holdings.entries { _ in true }
            self.isFetching = true
            self.call(.join)
        case .askHeld(let fence):
            self.reconciliation = self.holdings.beginReconciliation()
            self.isFetching = true
            self.call(.held(self.reconciliation, asked: [], fence: fence))
        case .claim(let number):
            let most = self.holdings.reserve(128, for: 0)
            guard most > 0 else { return }
            self.reserved = most
            self.isFetching = true
            self.call(
                .claim(
                    ClaimRequest(
                        most: most, quantum: ClaimRequest.quantum(for: most), share: 6,
                        held: self.holdings.countsByWorkspace, number: number)))
        }
    }

    private func fetched(_ call: Simulation.Call, _ answer: Simulation.Answer) throws {
        self.isFetching = false
        self.holdings.unreserve(self.reserved)
        self.reserved = 0
        let question = self.reconciliation
        self.reconciliation = nil
        switch (call, answer) {
        case (.join, .deliveries(let deliveries)):
            try self.dropLost(asked: self.askedAtJoin, known: Set(deliveries.map(\.entry)))
            self.fetching.joined()
            try self.begin(self.holdings.admit(deliveries, answering: question))
        case (.held, .deliveries(let deliveries)):
            self.fetching.heardHeld()
            try self.begin(self.holdings.admit(deliveries, answering: question))
        case (.claim, .claim(let claim)):
            self.fetching.claimed(hasMore: claim.hasMore)
            try self.begin(self.holdings.admit(claim.deliveries))
            // Nothing came: it waits for the bell.
            if claim.deliveries.isEmpty, claim.dropped == 0 { return }
        case (_, .failure(let error)):
            if let question { self.holdings.abandon(question) }
            if error.code == .unknownNode {
                self.fetching.forgotten()
            } else if self.simulation.options.sabotage != .forgetsLostClaims {
                self.fetching.failed()
            }
            return self.simulation.schedule(.wake(node: self.index, life: self.life, .fetch), in: 200)
        default: throw Simulation.Violation(description: "\(self.name) got an answer to another call")
        }
        self.fetch()
    }

    // MARK: - Maintenance, as `LeaseKeeper`

    private func maintained(_ call: Simulation.Call, _ answer: Simulation.Answer) throws {
        let now = self.simulation.elapsed
        switch (call, answer) {
        case (.moveDue, .done):
            guard self.leasing.isRenewalDue(at: now) else {
                self.isTicking = false
                return
            }
            self.call(.renew(asked: self.holdings.entries { _ in true }, sentAt: now))
        case (.renew(let asked, let sentAt), .renewal(let renewal)):
            let consequence = self.leasing.renewed(
                at: sentAt, dead: renewal.dead, here: asked.count, there: renewal.held)
            for job in renewal.cancelled.sorted(by: { $0.description < $1.description }) { try self.cancel(job) }
            for name in consequence.rescue { self.call(.rescue(name)) }
            if consequence.mayHoldUnknown, self.simulation.options.sabotage != .forgetsLostClaims {
                self.fetching.failed()
                self.fetch()
            }
            self.isTicking = false
            if consequence.mayBeLost {
                self.isTicking = true
                self.call(.held(nil, asked: asked, fence: 0))
            }
        case (.rescue, .done): break
        case (.rescue, .failure): break
        case (.renew(let asked, _), .failure(let error)) where error.code == .unknownNode:
            self.isTicking = false
            self.leasing.failed(at: now)
            try self.dropLost(asked: asked, known: [])
        case (_, .failure):
            self.isTicking = false
            self.leasing.failed(at: now)
        default: throw Simulation.Violation(description: "\(self.name) got an answer to another call")
        }
    }

    private func dropLost(asked: Set<EntryReference>, known: Set<EntryReference>) throws {
        let lost = self.holdings.dropLost(asked: asked, known: known)
        for entry in lost.sorted(by: Self.order) { try self.end(entry, .leaseLost) }
    }

    /// Sets have an order of their own in each process; a history must not.
    private static func order(_ left: EntryReference, _ right: EntryReference) -> Bool { left.id < right.id }

    // MARK: - Running, as `JobPipeline` and `JobRun`

    func isRunning(_ entry: EntryReference, life: UInt64) -> Bool {
        guard self.isAlive, life == self.life, let run = self.runs[entry] else { return false }
        return !run.hasEnded
    }

    private func begin(_ deliveries: [Delivery]) throws {
        for delivery in deliveries {
            if let reason = self.holdings.refusal(of: delivery.entry) {
                self.complete(delivery, .cancelled(reason))
                continue
            }
            if self.isDraining {
                self.complete(delivery, .cancelled(.drain))
                continue
            }
            let plan = try self.simulation.ledger.plan(of: delivery)
            let retries = RetryPolicy()
            if delivery.crashes >= retries.crashLimit {
                self.complete(delivery, .refused(reason: "its node died under it \(delivery.crashes) times"))
            } else if plan.isExternal, delivery.crashes > 0, self.simulation.options.sabotage != .repeatsEffects {
                self.complete(delivery, .unknown(reason: "its node died under it"))
            } else {
                self.runs[delivery.entry] = Run(delivery: delivery, startedAt: self.simulation.now)
                self.simulation.note("\(self.name) runs \(delivery.jobID.map { "\($0)" } ?? "none")")
                if let job = delivery.jobID {
                    self.simulation.schedule(
                        .effect(node: self.index, life: self.life, delivery.entry, job),
                        in: self.simulation.random(0...plan.duration))
                }
                self.simulation.schedule(
                    .runEnds(node: self.index, life: self.life, delivery.entry), in: plan.duration)
            }
        }
    }

    func runEnded(_ entry: EntryReference, life: UInt64) throws {
        guard self.isAlive, life == self.life, let run = self.runs[entry], !run.hasEnded else { return }
        self.runs[entry] = nil
        let plan = try self.simulation.ledger.plan(of: run.delivery)
        let fails = !plan.isExternal && run.delivery.failures < plan.failures
        self.complete(
            run.delivery,
            fails ? .failed(Failure(reason: "as planned", isRetryable: true)) : .completed(result: Array("{}".utf8)))
    }

    /// Ends a run from outside, at once.
    private func end(_ entry: EntryReference, _ reason: CancellationReason) throws {
        guard let run = self.runs.removeValue(forKey: entry) else { return }
        let plan = try self.simulation.ledger.plan(of: run.delivery)
        let isCutOff = plan.isExternal && reason == .drain && self.simulation.options.sabotage != .repeatsEffects
        self.complete(run.delivery, isCutOff ? .unknown(reason: "its node was stopped under it") : .cancelled(reason))
    }

    private func complete(_ delivery: Delivery, _ outcome: Outcome) {
        if outcome == .cancelled(.leaseLost) {
            self.holdings.release([delivery.entry])
            return self.fetch()
        }
        var report = RunReport(delivery: delivery, startedAt: self.simulation.now)
        report.outcome = outcome
        report.maxAttempts = 5
        let jitter = Double(self.simulation.random(0...1000)) / 1000
        let end = RetryPolicy(longestDelay: .seconds(20), jitter: { jitter }).end(of: report)
        let kind = end.state.isFinal ? "outcome" : "attempt"
        self.outbox.append(
            Item(
                completion: Completion(
                    delivery: delivery, end: end, action: "queue.noop",
                    failures: delivery.failures + (report.isFailure ? 1 : 0), crashes: delivery.crashes,
                    auditEvent: end == .released ? [] : self.simulation.ledger.event(kind, delivery.jobID))))
        self.write()
    }

    // MARK: - Writing, as `CompletionWriter`

    private func write() {
        guard !self.isWriting, !self.outbox.isEmpty else { return }
        self.isWriting = true
        self.call(.finish(self.outbox.prefix(128).map(\.completion)))
    }

    private func written(_ answer: Simulation.Answer) throws {
        self.isWriting = false
        guard case .written(let written) = answer else {
            for index in self.outbox.indices { self.outbox[index].mayHaveBeenWritten = true }
            self.simulation.schedule(.wake(node: self.index, life: self.life, .write), in: self.writePause)
            self.writePause = min(self.writePause * 2, 1000)
            return
        }
        self.writePause = 20
        let items = self.outbox.prefix(written.count)
        self.outbox.removeFirst(items.count)
        self.holdings.release(items.map(\.completion.delivery.entry))
        self.write()
        self.leaveIfIdle()
        self.fetch()
    }
}
