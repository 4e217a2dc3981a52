import Domain

@testable import Jobs
@testable import Worker

/// What a simulated node has for one lane: what its consumer, its lease keeper and its completion writer know.
final class SimulatedLane {
    let caller: Simulation.Caller
    unowned let node: SimulatedNode
    unowned let simulation: Simulation

    var fetching = FetchMachine()
    /// False from a consumer's end to its restart.
    var isConsuming = true
    /// The consumer's call in progress.
    var fetchCall: UInt64?
    /// The consumer pauses after an outage.
    var isSleeping = false
    /// Something may have changed since the consumer's last step.
    var isSignalled = false
    /// The bell is on its way.
    var isRinging = false
    var reconciliation: Holdings.Reconciliation?
    var askedAtJoin: Set<EntryReference> = []
    /// Slots that the claim in progress may fill.
    var reserved = 0
    /// The lane wants to claim and found no slot.
    var isRefused = false
    /// When the last claim was sent.
    var claimedAt: UInt64 = 0

    var leasing = LeaseMachine(term: SimulatedQueue.lease)
    /// The lease keeper waits for an answer.
    var isMaintaining = false
    private var ticks = 0

    var outbox: [Completion] = []
    var isWriting = false
    var writePause: UInt64 = 20

    private var nextCall: UInt64 = 0
    private var openCalls: Set<UInt64> = []

    init(caller: Simulation.Caller, node: SimulatedNode, simulation: Simulation) {
        self.caller = caller
        self.node = node
        self.simulation = simulation
    }

    var number: Int { self.caller.lane }
    private var isQueueStalled: Bool { self.simulation.now < self.simulation.queues[self.number].stalledUntil }

    /// Whether all completions are written.
    var isWritten: Bool { self.outbox.isEmpty }

    /// Whether its consumer could claim now: it has joined, and waits for no answer.
    var canClaim: Bool {
        self.fetching.hasJoined && self.isConsuming && self.fetchCall == nil && !self.isSleeping
    }

    func start() {
        self.fetching.began()
        self.leasing.began(at: self.simulation.elapsed)
        self.ticks = Int(self.simulation.random(0...3))
        self.wake(.fetch, in: 0)
        self.wake(.tick, in: 500)
    }

    func drain() {
        self.fetching.drained()
        self.signal()
    }

    /// Gives up the node's name in the lane.
    func leave() { self.call(.leave) }

    // MARK: - Events

    func wake(_ wake: Simulation.Wake, in delay: UInt64) {
        self.simulation.schedule(.wake(self.caller, wake), in: delay)
    }

    func woken(_ wake: Simulation.Wake) {
        switch wake {
        case .fetch: self.fetch()
        case .ring:
            self.isRinging = false
            self.fetching.rang()
            self.fetch()
        case .resume:
            self.isSleeping = false
            self.fetch()
        case .begin:
            self.isConsuming = true
            self.fetching.began()
            self.fetch()
        case .tick: self.tick()
        case .write:
            self.isWriting = false
            self.writeNext()
        }
    }

    /// Every half second.
    private func tick() {
        self.wake(.tick, in: 500)
        self.ticks += 1
        // A blocking read returns after two seconds at the latest, or fails when its queue does not answer.
        if self.ticks.isMultiple(of: 4) {
            if self.isQueueStalled { self.lostAnswer() } else { self.fetching.rang() }
            self.fetch()
        }
        self.maintain()
    }

    /// The bell reaches the node after the delay.
    func ring(in delay: UInt64) {
        guard !self.isRinging else { return }
        self.isRinging = true
        self.wake(.ring, in: delay)
    }

    @discardableResult
    func call(_ call: Simulation.Call) -> UInt64 {
        self.nextCall += 1
        self.openCalls.insert(self.nextCall)
        self.simulation.send(call, from: self.caller, number: self.nextCall)
        return self.nextCall
    }

    /// The answer of a call is of no interest any more.
    func abandon(_ call: UInt64) { self.openCalls.remove(call) }

    func answered(_ call: Simulation.Call, _ number: UInt64, _ answer: Simulation.Answer) throws {
        guard self.openCalls.remove(number) != nil else { return }
        if case .failure(let error) = answer, error.isPermanent { return self.node.end(error) }
        switch call {
        case .join, .claim: try self.fetched(call, answer)
        case .held(.some, _, _): try self.fetched(call, answer)
        case .held(.none, _, _), .moveDue, .renew: try self.maintained(call, answer)
        case .finish: self.finished(answer)
        case .rescue, .leave: break
        }
    }

    func unexpected(_ call: Simulation.Call, _ answer: Simulation.Answer) -> Simulation.Violation {
        Simulation.Violation(description: "'\(call.name)' was answered with '\(answer.name)'")
    }
}
