import Domain

@testable import Jobs
@testable import Worker

/// A node of the simulation: the product's decisions, carried by events. Its lanes share its slots.
final class SimulatedNode {
    let index: Int
    private let name: NodeID
    private let capacity: Int
    private unowned let simulation: Simulation
    private(set) var life: UInt64 = 0
    private var isAlive = false
    private var isGone = false
    private var suspendedUntil: UInt64 = 0
    private var pausedUntil: UInt64 = 0
    private var isDraining = false

    private(set) var holdings: Holdings
    private(set) var lanes: [SimulatedLane] = []
    private var runs: [EntryReference: (delivery: Delivery, number: UInt64)] = [:]
    private var runCount: UInt64 = 0
    /// Lanes that were refused a slot; only with `Sabotage.sharesWithIdleLanes`.
    private var refusedLanes: Set<Int> = []

    init(index: Int, capacity: Int, simulation: Simulation) throws {
        self.index = index
        self.name = try NodeID("n\(index)")
        self.capacity = capacity
        self.holdings = Holdings(capacity: capacity)
        self.simulation = simulation
    }

    func identity(life: UInt64) -> NodeIdentity {
        NodeIdentity(node: self.name, incarnation: Incarnation(value: life), owner: "machine-\(self.index)")
    }

    var isIdle: Bool { !self.isAlive || self.holdings.count == 0 && self.lanes.allSatisfy(\.isWritten) }

    /// Whether a lane of it may claim now, and finds a free slot.
    var canClaim: Bool {
        self.isAlive && !self.isDraining && !self.isPaused && self.simulation.now >= self.suspendedUntil
            && self.holdings.free > 0
    }

    /// Whether nothing may be claimed now, as by a storm of restarts.
    var isPaused: Bool { self.simulation.now < self.pausedUntil }

    /// The lane that an event is for; nil when the node does not live any more as it did then.
    func lane(_ caller: Simulation.Caller) -> SimulatedLane? {
        self.isAlive && caller.life == self.life ? self.lanes[caller.lane] : nil
    }

    /// A lane of the node; nil while the node is dead.
    func lane(_ number: Int) -> SimulatedLane? { self.isAlive ? self.lanes[number] : nil }

    // MARK: - Life

    func start() {
        guard !self.isAlive, !self.isGone else { return }
        self.life += 1
        self.isAlive = true
        self.isDraining = false
        self.suspendedUntil = 0
        self.pausedUntil = 0
        self.holdings = Holdings(capacity: self.capacity)
        self.runs = [:]
        self.refusedLanes = []
        self.lanes = self.simulation.queues.indices.map { lane in
            SimulatedLane(
                caller: Simulation.Caller(node: self.index, lane: lane, life: self.life), node: self,
                simulation: self.simulation)
        }
        for lane in self.lanes { lane.start() }
    }

    func die() { self.isAlive = false }

    /// The node dies and does not come back.
    func vanish() {
        self.isAlive = false
        self.isGone = true
    }

    /// The node ends with an error that another try cannot help, and is started again.
    func end(_ error: JobQueueError) {
        self.simulation.note("\(self.name) ends: \(error.code)")
        self.die()
        self.simulation.schedule(.start(self.index), in: 1000)
    }

    func suspend(until time: UInt64) { self.suspendedUntil = max(self.suspendedUntil, time) }

    func pause(until time: UInt64) { self.pausedUntil = max(self.pausedUntil, time) }

    /// How long it is still suspended; nil when it is not.
    func suspension(at now: UInt64) -> UInt64? {
        self.isAlive && now < self.suspendedUntil ? self.suspendedUntil - now : nil
    }

    /// Ends its runs as a drain without grace does, returns its jobs, leaves, and is started again.
    func drain() throws {
        guard self.isAlive, !self.isDraining else { return }
        self.isDraining = true
        for lane in self.lanes { lane.drain() }
        for entry in self.runs.keys.sorted(by: Self.order) { try self.end(entry, .drain) }
        self.leaveIfIdle()
        self.simulation.schedule(.kill(self.index), in: 8000)
    }

    func leaveIfIdle() {
        guard self.isDraining, self.holdings.count == 0 else { return }
        for lane in self.lanes { lane.leave() }
    }

    // MARK: - Slots and holdings, as `RunRegistry`

    func reserve(for lane: Int) -> Int {
        guard self.simulation.options.sabotage == .sharesWithIdleLanes else {
            return self.holdings.reserve(128, for: lane)
        }
        self.refusedLanes.remove(lane)
        let count = min(128, self.holdings.free / (1 + self.refusedLanes.count))
        guard count > 0 else {
            self.refusedLanes.insert(lane)
            return 0
        }
        return self.holdings.reserve(count, for: lane)
    }

    /// The lane wants no slot now.
    func withdraw(lane: Int) {
        self.holdings.withdraw(lane: lane)
        self.wakeServableLanes()
    }

    private func wakeServableLanes() {
        for lane in self.holdings.servableLanes { self.lanes[lane].signal() }
        guard self.holdings.free > 0 else { return }
        for lane in self.refusedLanes.sorted() { self.lanes[lane].signal() }
    }

    /// Puts a lane that wants no slot among those that wait for one; only with `Sabotage.keepsPlaceWhenIdle`.
    func keepPlace(of lane: Int) { _ = self.holdings.reserve(0, for: lane) }

    /// Holds what a claim brought, and returns the slots that were reserved for it.
    func admit(_ deliveries: [Delivery], intoReserved count: Int) -> [Delivery] {
        let fresh = self.holdings.admit(deliveries)
        self.holdings.unreserve(count)
        self.wakeServableLanes()
        return fresh
    }

    func admit(_ deliveries: [Delivery], answering question: Holdings.Reconciliation?) -> [Delivery] {
        self.holdings.admit(deliveries, answering: question)
    }

    func beginReconciliation() -> Holdings.Reconciliation { self.holdings.beginReconciliation() }

    func abandon(_ question: Holdings.Reconciliation) { self.holdings.abandon(question) }

    /// What is held of the lane's workspaces.
    func entries(of lane: Int) -> Set<EntryReference> {
        let count = self.lanes.count
        return self.holdings.entries { Lane.of($0, among: count).number == lane }
    }

    func release(_ entries: [EntryReference]) {
        self.holdings.release(entries)
        for lane in self.lanes { lane.signal() }
    }

    func dropLost(asked: Set<EntryReference>, known: Set<EntryReference>) throws {
        let lost = self.holdings.dropLost(asked: asked, known: known)
        for entry in lost.sorted(by: Self.order) { try self.end(entry, .leaseLost) }
    }

    func cancel(_ job: JobID) throws {
        guard self.isAlive, self.suspension(at: self.simulation.now) == nil else { return }
        for entry in self.holdings.cancel(job, .user).sorted(by: Self.order) { try self.end(entry, .user) }
    }

    /// Sets have an order of their own in each process; a history must not.
    private static func order(_ left: EntryReference, _ right: EntryReference) -> Bool {
        (left.id, left.workspace.name) < (right.id, right.workspace.name)
    }

    // MARK: - Running, as `JobPipeline` and `JobRun`

    func isRunning(_ run: Simulation.Run) -> Bool {
        self.isAlive && run.life == self.life && self.runs[run.entry]?.number == run.number
    }

    func begin(_ deliveries: [Delivery]) throws {
        for delivery in deliveries {
            if let reason = self.holdings.refusal(of: delivery.entry) {
                self.complete(delivery, .cancelled(reason))
                continue
            }
            if self.isDraining {
                self.complete(delivery, .cancelled(.drain))
                continue
            }
            let plan = try self.plan(of: delivery)
            if delivery.crashes >= RetryPolicy().crashLimit {
                self.complete(delivery, .refused(reason: "its node died under it \(delivery.crashes) times"))
            } else if plan.isExternal, delivery.crashes > 0, self.simulation.options.sabotage != .repeatsEffects {
                self.complete(delivery, .unknown(reason: "its node died under it"))
            } else {
                self.run(delivery, plan)
            }
        }
    }

    private func run(_ delivery: Delivery, _ plan: SimulatedRequest) {
        self.runCount += 1
        self.runs[delivery.entry] = (delivery, self.runCount)
        let run = Simulation.Run(
            node: self.index, life: self.life, entry: delivery.entry, number: self.runCount)
        self.simulation.note("\(self.name) runs \(delivery.jobID.map { "\($0)" } ?? "none")")
        if let job = delivery.jobID {
            self.simulation.schedule(
                .effect(run, job),
                in: self.simulation.random(0...plan.duration))
        }
        self.simulation.schedule(.runEnds(run), in: plan.duration)
    }

    func runEnded(_ run: Simulation.Run) throws {
        guard self.isRunning(run), let delivery = self.runs.removeValue(forKey: run.entry)?.delivery else { return }
        let plan = try self.plan(of: delivery)
        let fails = !plan.isExternal && delivery.failures < plan.failures
        self.complete(
            delivery,
            fails ? .failed(Failure(reason: "as planned", isRetryable: true)) : .completed(result: Array("{}".utf8)))
    }

    /// Ends a run from outside, at once.
    private func end(_ entry: EntryReference, _ reason: CancellationReason) throws {
        guard let delivery = self.runs.removeValue(forKey: entry)?.delivery else { return }
        let isCutOff =
            try self.plan(of: delivery).isExternal && reason == .drain
            && self.simulation.options.sabotage != .repeatsEffects
        self.complete(delivery, isCutOff ? .unknown(reason: "its node was stopped under it") : .cancelled(reason))
    }

    private func plan(of delivery: Delivery) throws -> SimulatedRequest {
        try self.simulation.queue(of: delivery.workspace).ledger.plan(of: delivery)
    }

    private func complete(_ delivery: Delivery, _ outcome: Outcome) {
        if outcome == .cancelled(.leaseLost) { return self.release([delivery.entry]) }
        var report = RunReport(delivery: delivery, startedAt: self.simulation.now)
        report.outcome = outcome
        report.maxAttempts = 5
        let jitter = Double(self.simulation.random(0...1000)) / 1000
        let end = RetryPolicy(longestDelay: .seconds(20), jitter: { jitter }).end(of: report)
        let kind = end.state.isFinal ? "outcome" : "attempt"
        let queue = self.simulation.queue(of: delivery.workspace)
        self.lanes[queue.lane].write(
            Completion(
                delivery: delivery, end: end, action: "queue.noop",
                failures: delivery.failures + (report.isFailure ? 1 : 0), crashes: delivery.crashes,
                auditEvent: end == .released ? [] : queue.ledger.event(kind, delivery.jobID)))
    }
}
