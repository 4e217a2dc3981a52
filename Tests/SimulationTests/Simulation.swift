import Domain
import TestSupport

@testable import Jobs
@testable import JobsModel
@testable import Worker

/// Several nodes, a queue a lane and a bad network in one thread and one time line: all that happens follows from the
/// seed.
///
/// The nodes' decisions are those of the product (`FetchMachine`, `Holdings`, `LeaseMachine`, `RetryPolicy`), the queues'
/// are `QueueMachine`'s, which another test holds equal to the functions in Redis. What carries them here is the
/// simulator's own: calls that are delayed, lost on either way, or carried out after their deadline; nodes that die, are
/// suspended for longer than their lease, are drained and come back; queues that stall; clients that repeat themselves.
///
/// Half the seeds have one lane, the others several lanes that share few slots. The seeds take turns in where jobs run.
final class Simulation {
    struct Options {
        var seed: UInt64
        var requests = 30
        /// How long things go wrong, in milliseconds; afterwards everything must come to its end.
        var faultyTime: UInt64 = 40_000
        /// Queues lose data: they are emptied, or set back to what they were a moment ago, as by a fail-over.
        var losesData = false
        /// A fault of the product, to see that it is found.
        var sabotage: Sabotage?
        /// Whether `trace` is kept.
        var isTraced = false
    }

    struct Violation: Error, CustomStringConvertible { let description: String }

    let options: Options
    let requests: [SimulatedRequest]
    /// Slots of each node.
    let capacity: Int
    private(set) var queues: [SimulatedQueue] = []
    private(set) var nodes: [SimulatedNode] = []
    var random: SeededRandom
    private(set) var now = Simulation.begin
    private var agenda = Agenda(beginningAt: Simulation.begin)
    private var idleSlots = IdleSlots()
    private(set) var trace: [String] = []
    private var steps = 0

    private static let begin: UInt64 = 1_800_000_000_000
    static let nodeCount = 3
    /// Where the jobs of a workspace run.
    private var homes: HomePolicy {
        let all: [HomePolicy] = [.shared, .move(after: .zero), .move(after: .seconds(8)), .wait]
        return all[Int(self.options.seed % UInt64(all.count))]
    }

    /// Jobs of one workspace that a node holds at most.
    static let share = 6

    init(_ options: Options) throws {
        self.options = options
        var random = SeededRandom(seed: options.seed)
        let laneCount = Bool.random(using: &random) ? 1 : Int.random(in: 2...6, using: &random)
        let mostSlots = Bool.random(using: &random) ? 2 : 8
        self.capacity = laneCount == 1 ? 8 : Int.random(in: 1...mostSlots, using: &random)
        self.requests = try SimulatedRequest.make(options.requests, lanes: laneCount, random: &random)
        self.random = random
        let limits = try SimulatedRequest.limits()
        for lane in 0..<laneCount {
            func belongs(_ workspace: WorkspaceID) -> Bool { Lane.of(workspace, among: laneCount).number == lane }
            let indices = self.requests.indices.filter { belongs(self.requests[$0].workspace) }
            self.queues.append(
                SimulatedQueue(
                    lane: lane,
                    ledger: Ledger(
                        requests: self.requests, indices: indices, limits: limits.filter { belongs($0.key) }),
                    homes: self.homes))
        }
        for index in 0..<Self.nodeCount {
            self.nodes.append(try SimulatedNode(index: index, capacity: self.capacity, simulation: self))
        }
    }

    var elapsed: Duration { .milliseconds(Int64(self.now - Self.begin)) }
    var isFaulty: Bool { self.now < Self.begin + self.options.faultyTime }

    func queue(of workspace: WorkspaceID) -> SimulatedQueue {
        self.queues[Lane.of(workspace, among: self.queues.count).number]
    }

    /// The time by the queue's clock.
    func time(of queue: SimulatedQueue) -> UInt64 { UInt64(clamping: Int64(self.now) + queue.clockOffset) }

    func note(_ text: @autoclosure () -> String) {
        guard self.options.isTraced else { return }
        if self.trace.count > 20_000 { self.trace.removeFirst(10_000) }
        self.trace.append("\(self.now - Self.begin) \(text())")
    }

    func schedule(_ event: Event, in delay: UInt64) {
        self.agenda.insert(event, at: self.now + delay)
    }

    func random(_ range: ClosedRange<UInt64>) -> UInt64 { .random(in: range, using: &self.random) }

    // MARK: - The run

    /// Runs until everything has come to its end; throws `Violation` when it does not, or when a rule is broken on the
    /// way.
    func run() throws {
        self.note("\(self.queues.count) lanes, \(self.capacity) slots")
        for index in self.nodes.indices { self.schedule(.start(index), in: self.random(0...500)) }
        for index in self.requests.indices {
            self.schedule(.submit(index), in: self.random(0...self.options.faultyTime))
        }
        self.scheduleFaults()
        let deadline = Self.begin + self.options.faultyTime + 600_000
        while let (time, event) = self.agenda.popFirst() {
            self.now = time
            guard time < deadline else { break }
            try self.handle(event)
            try self.idleSlots.check(self)
            self.steps += 1
            guard self.steps.isMultiple(of: 16) else { continue }
            try self.checkQueues()
            if !self.isFaulty, self.isOver { break }
        }
        try self.checkQueues()
        guard self.isOver else {
            let unfinished = self.queues.flatMap { $0.ledger.unfinished($0.machine) }
            throw Violation(
                description: "ten minutes after the last fault not everything has ended: "
                    + unfinished.joined(separator: "; "))
        }
        for queue in self.queues { try queue.ledger.checkEnd(queue.machine) }
    }

    private var isOver: Bool {
        self.nodes.allSatisfy(\.isIdle)
            && self.queues.allSatisfy { $0.ledger.areAllSubmitted && $0.ledger.unfinished($0.machine).isEmpty }
    }

    private func checkQueues() throws {
        for queue in self.queues where queue.needsCheck {
            queue.needsCheck = false
            try queue.ledger.check(queue.machine)
        }
    }

    // MARK: - Events

    private func handle(_ event: Event) throws {
        switch event {
        case .submit(let index): try self.submit(index)
        case .cancel(let job, let workspace): try self.cancel(job, in: workspace)
        case .resolve(let job, let workspace): try self.resolve(job, in: workspace)
        case .arrive(let caller, let call, let number, let isAnswered):
            try self.arrived(call, from: caller, number: number, isAnswered: isAnswered)
        case .answer(let caller, let call, let number, let answer):
            if let rest = self.suspension(of: caller.node) { return self.schedule(event, in: rest) }
            try self.nodes[caller.node].lane(caller)?.answered(call, number, answer)
        case .wake(let caller, let wake):
            if let rest = self.suspension(of: caller.node) { return self.schedule(event, in: rest) }
            self.nodes[caller.node].lane(caller)?.woken(wake)
        case .effect(let run, let job):
            // A program outside goes on while its node is suspended.
            guard self.nodes[run.node].isRunning(run) else { return }
            try self.queue(of: run.entry.workspace).ledger.effect(job)
        case .runEnds(let run):
            if let rest = self.suspension(of: run.node) { return self.schedule(event, in: rest) }
            try self.nodes[run.node].runEnded(run)
        case .start, .kill, .vanish, .suspend, .drain, .pause, .endConsumer: try self.handleNodeFault(event)
        case .stall, .setClock, .snapshot, .setBack, .empty: self.handleQueueFault(event)
        }
    }

    /// How long the node is still suspended; nil when it is not.
    private func suspension(of node: Int) -> UInt64? { self.nodes[node].suspension(at: self.now) }

    private func handleNodeFault(_ event: Event) throws {
        switch event {
        case .start(let node): self.nodes[node].start()
        case .kill(let node):
            self.note("n\(node) is killed")
            self.nodes[node].die()
            self.schedule(.start(node), in: self.random(0...20_000))
        case .vanish(let node):
            // The first node stays, so that one is left at the end; so do all that may be waited for.
            guard node > 0, self.homes != .wait else { return self.schedule(.kill(node), in: 0) }
            self.note("n\(node) is killed permanently")
            self.nodes[node].vanish()
        case .suspend(let node, let time):
            self.note("n\(node) is suspended for \(time)")
            self.nodes[node].suspend(until: self.now + time)
        case .drain(let node):
            self.note("n\(node) is drained")
            try self.nodes[node].drain()
        case .pause(let node, let time):
            self.note("n\(node) may claim nothing for \(time)")
            self.nodes[node].pause(until: self.now + time)
        case .endConsumer(let node, let lane, let pause):
            self.note("n\(node) lane \(lane) ends its consumer for \(pause)")
            self.nodes[node].lane(lane)?.endConsumer(restartAfter: pause)
        default: break
        }
    }

    private func handleQueueFault(_ event: Event) {
        switch event {
        case .stall(let lanes, let time):
            self.note("the queues of lanes \(lanes) stall for \(time)")
            for lane in lanes { self.queues[lane].stalledUntil = self.now + time }
        case .setClock(let lanes, let by):
            self.note("the clocks of lanes \(lanes) are set by \(by)")
            for lane in lanes {
                self.queues[lane].clockOffset += by
                self.queues[lane].ledger.clockWasSet()
            }
        case .snapshot(let lanes): for lane in lanes { self.queues[lane].snapshot = self.queues[lane].machine }
        case .setBack(let lanes):
            for lane in lanes { self.lose(self.queues[lane], keeping: self.queues[lane].snapshot) }
        case .empty(let lanes): for lane in lanes { self.lose(self.queues[lane], keeping: nil) }
        default: break
        }
    }
}
