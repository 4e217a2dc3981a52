import Domain
import HeapModule
import TestSupport

@testable import Jobs
@testable import JobsModel
@testable import Worker

/// Several nodes, a queue and a bad network in one thread and one time line: all that happens follows from the seed.
///
/// The nodes' decisions are those of the product (`FetchMachine`, `Holdings`, `LeaseMachine`, `RetryPolicy`), the queue's
/// are `QueueMachine`'s, which another test holds equal to the functions in Redis. What carries them here is the
/// simulator's own: calls that are delayed, lost on either way, or carried out after their caller gave them up; nodes that
/// die, stop for longer than their lease, are drained and come back; a queue that stalls; clients that repeat themselves.
final class Simulation {
    struct Options {
        var seed: UInt64
        var nodes = 3
        var requests = 30
        /// How long things go wrong, in milliseconds; afterwards everything must come to its end.
        var faultyTime: UInt64 = 40_000
        /// The queue itself forgets: it is emptied, or set back to what it was a moment ago, as by a fail-over.
        var losesData = false
        /// A fault of the product's, to see that it is found.
        var sabotage: Sabotage?
    }

    enum Sabotage: CaseIterable {
        /// Outcomes are written whatever became of the lease.
        case unfenced
        /// What is not known to be held by an answer that was lost is never asked for.
        case forgetsLostClaims
        /// A pause longer than the lease goes unnoticed, and an effect outside is tried again.
        case repeatsEffects
        /// Submissions are not remembered.
        case forgetsRequests
        /// A dead node's jobs stay where they are.
        case rescuesNobody
    }

    struct Violation: Error, CustomStringConvertible { let description: String }

    enum Event {
        case submit(Int)
        case cancel(JobID, WorkspaceID)
        /// A person looked what became of a job whose outcome is unknown.
        case resolve(JobID, WorkspaceID)
        /// A call arrives at the queue; `isAnswered` is false when its answer is lost.
        case arrive(node: Int, life: UInt64, call: Call, number: UInt64, isAnswered: Bool)
        case answer(node: Int, life: UInt64, call: Call, number: UInt64, Answer)
        case wake(node: Int, life: UInt64, Wake)
        case effect(node: Int, life: UInt64, EntryReference, JobID)
        case runEnds(node: Int, life: UInt64, EntryReference)
        case kill(Int)
        case start(Int)
        case stop(Int, UInt64)
        case drain(Int)
        case stall(UInt64)
        case vanish(Int)
        /// The queue's clock is set, forward or back.
        case setClock(Int64)
        case snapshot
        case setBack
        case empty
    }

    enum Call {
        case join
        case held(Holdings.Reconciliation?, asked: Set<EntryReference>, fence: UInt64)
        case claim(ClaimRequest)
        case renew(asked: Set<EntryReference>, sentAt: Duration)
        case moveDue
        case rescue(String)
        case finish([Completion])
        case leave
    }

    enum Answer {
        case deliveries([Delivery])
        case claim(Claim)
        case renewal(Renewal)
        case written([Bool])
        case done
        case failure(JobQueueError)
    }

    enum Wake { case fetch, tick, write }

    private struct Scheduled: Comparable {
        let time: UInt64
        let number: UInt64
        let event: Event

        static func < (left: Scheduled, right: Scheduled) -> Bool {
            (left.time, left.number) < (right.time, right.number)
        }
        static func == (left: Scheduled, right: Scheduled) -> Bool { left.number == right.number }
    }

    let options: Options
    var random: SeededRandom
    private(set) var now: UInt64 = 1_800_000_000_000
    private let begin: UInt64 = 1_800_000_000_000
    /// What the queue's clock shows more or less.
    private var clockOffset: Int64 = 0
    /// The time by the queue's clock.
    var queueTime: UInt64 { UInt64(clamping: Int64(self.now) + self.clockOffset) }
    private var agenda = Heap<Scheduled>()
    private var scheduled: UInt64 = 0
    private(set) var queue: QueueMachine
    private var nodes: [SimulatedNode] = []
    var ledger: Ledger
    private var stalledUntil: UInt64 = 0
    private(set) var trace: [String] = []
    private(set) var steps = 0
    private var snapshot: QueueMachine?
    private var lastBell: UInt64 = 0
    private var controlHeard = 0

    static let limits = QueueLimits(retention: .seconds(30 * 86_400), streamLength: 1000, lease: .seconds(5))

    init(_ options: Options) throws {
        self.options = options
        self.random = SeededRandom(seed: options.seed)
        self.queue = QueueMachine(limits: Self.limits)
        self.ledger = try Ledger(requests: options.requests, random: &self.random)
        self.queue = self.emptyQueue()
    }

    private func emptyQueue() -> QueueMachine {
        var queue = QueueMachine(limits: Self.limits)
        for (workspace, limits) in self.ledger.limits { queue.setLimits(limits, of: workspace, auditEvent: []) }
        return queue
    }

    var elapsed: Duration { .milliseconds(Int64(self.now - self.begin)) }

    func note(_ text: @autoclosure () -> String) {
        if self.trace.count > 20_000 { self.trace.removeFirst(10_000) }
        self.trace.append("\(self.now - self.begin) \(text())")
    }

    func schedule(_ event: Event, in delay: UInt64) {
        self.scheduled += 1
        self.agenda.insert(Scheduled(time: self.now + delay, number: self.scheduled, event: event))
    }

    // MARK: - The run

    /// Runs until everything has come to its end; throws `Violation` when it does not, or on the way.
    func run() throws {
        for index in 0..<self.options.nodes {
            self.nodes.append(try SimulatedNode(index: index, simulation: self))
            self.schedule(.start(index), in: self.random(0...500))
        }
        for index in self.ledger.requests.indices {
            self.schedule(.submit(index), in: self.random(0...self.options.faultyTime))
        }
        self.scheduleFaults()
        let deadline = self.begin + self.options.faultyTime + 600_000
        while let next = self.agenda.popMin() {
            self.now = max(self.now, next.time)
            guard self.now < deadline else { break }
            try self.handle(next.event)
            self.steps += 1
            try self.ledger.read(self.queue.takeAudit())
            try self.spread()
            if self.steps % 16 == 0 { try self.ledger.check(self.queue, at: self.now) }
            if self.now > self.begin + self.options.faultyTime, self.isOver { break }
        }
        try self.ledger.check(self.queue, at: self.now)
        guard self.isOver else {
            throw Violation(
                description: "ten minutes after the last fault not everything has ended: "
                    + self.ledger.unfinished(self.queue).joined(separator: "; "))
        }
        try self.ledger.checkEnd(self.queue)
    }

    private var isOver: Bool {
        self.ledger.areAllSubmitted && self.nodes.allSatisfy(\.isIdle) && self.ledger.unfinished(self.queue).isEmpty
    }

    private func scheduleFaults() {
        for _ in 0..<self.random(0...6) {
            let time = self.random(1000...self.options.faultyTime)
            let node = Int(self.random(0...UInt64(self.options.nodes - 1)))
            switch self.random(0...9) {
            case 0: self.schedule(.vanish(node), in: time)
            case 1...3: self.schedule(.kill(node), in: time)
            case 4...6: self.schedule(.stop(node, self.random(100...15_000)), in: time)
            case 7: self.schedule(.drain(node), in: time)
            case 8:
                let by = Int64(self.random(1...300_000))
                self.schedule(.setClock(self.random(0...1) == 0 ? by : -by), in: time)
            default: self.schedule(.stall(self.random(100...12_000)), in: time)
            }
        }
        guard self.options.losesData else { return }
        let time = self.random(1000...self.options.faultyTime)
        if self.random(0...1) == 0 {
            self.schedule(.empty, in: time)
        } else {
            self.schedule(.snapshot, in: time - self.random(1...1000))
            self.schedule(.setBack, in: time)
        }
    }

    func random(_ range: ClosedRange<UInt64>) -> UInt64 { .random(in: range, using: &self.random) }

    private var isFaulty: Bool { self.now < self.begin + self.options.faultyTime }

    private func handle(_ event: Event) throws {
        switch event {
        case .submit(let index): try self.submit(index)
        case .cancel(let job, let workspace):
            let outcome = self.ledger.event("outcome", job)
            let state = self.queue.cancel(
                job, in: workspace, request: self.ledger.event("asked", job), outcome: outcome, at: self.queueTime)
            self.note("cancel \(job) -> \(state.map { "\($0)" } ?? "none")")
        case .resolve(let job, let workspace):
            let resolution: Resolution = self.ledger.tookEffect(job) ? .done : .retry
            let event = self.ledger.event(resolution == .retry ? "retried" : "resolved", job)
            let isResolved = self.queue.resolve(
                job, in: workspace, as: resolution, reason: "seen", auditEvent: event, at: self.queueTime)
            self.note("resolve \(job) as \(resolution) -> \(isResolved)")
        case .arrive(let node, let life, let call, let number, let isAnswered):
            guard self.now >= self.stalledUntil else {
                return self.schedule(event, in: self.stalledUntil - self.now + self.random(0...50))
            }
            let answer = self.carryOut(call, from: self.nodes[node], life: life)
            self.note("n\(node) \(call.name) -> \(answer.name)\(isAnswered ? "" : ", lost")")
            if isAnswered {
                self.schedule(.answer(node: node, life: life, call: call, number: number, answer), in: self.delay)
            }
        case .answer(let node, let life, let call, let number, let answer):
            if let rest = self.nodes[node].pause(at: self.now) { return self.schedule(event, in: rest) }
            try self.nodes[node].answered(call, number, answer, life: life)
        case .wake(let node, let life, let wake):
            if let rest = self.nodes[node].pause(at: self.now) { return self.schedule(event, in: rest) }
            try self.nodes[node].woken(wake, life: life)
        case .effect(let node, let life, let entry, let job):
            // The program outside goes on while its node stands still.
            if self.nodes[node].isRunning(entry, life: life) { try self.ledger.effect(job) }
        case .runEnds(let node, let life, let entry):
            if let rest = self.nodes[node].pause(at: self.now) { return self.schedule(event, in: rest) }
            try self.nodes[node].runEnded(entry, life: life)
        case .kill(let node):
            self.note("n\(node) is killed")
            self.nodes[node].die()
            self.schedule(.start(node), in: self.random(0...20_000))
        case .vanish(let node):
            // The first one stays, so that somebody is there at the end.
            guard node > 0 else { return self.schedule(.kill(node), in: 0) }
            self.note("n\(node) is killed for good")
            self.nodes[node].vanish()
        case .setClock(let by):
            self.note("the queue's clock is set by \(by)")
            self.clockOffset += by
            self.ledger.clockWasSet()
        case .snapshot: self.snapshot = self.queue
        case .setBack:
            guard let snapshot = self.snapshot else { return }
            self.note("the queue is set back")
            self.lose(snapshot)
        case .empty:
            self.note("the queue is emptied")
            self.lose(self.emptyQueue())
        case .start(let node): self.nodes[node].start()
        case .stop(let node, let time):
            self.note("n\(node) stands still for \(time)")
            self.nodes[node].standStill(until: self.now + time)
        case .drain(let node):
            self.note("n\(node) is drained")
            try self.nodes[node].drain()
        case .stall(let time):
            self.note("the queue stalls for \(time)")
            self.stalledUntil = self.now + time
        }
    }

    /// What is heard without a call: the bell and wishes reach each node that listens, or its next look does.
    private func spread() throws {
        if self.queue.wakeUps != self.lastBell {
            self.lastBell = self.queue.wakeUps
            for node in self.nodes { node.ring(in: self.delay) }
        }
        while self.controlHeard < self.queue.control.count {
            let job = self.queue.control[self.controlHeard]
            self.controlHeard += 1
            for node in self.nodes where self.random(0...9) > 0 || !self.isFaulty { try node.cancel(job) }
        }
    }

    /// Clients that were answered ask again, as those do who hear of it.
    private func lose(_ queue: QueueMachine) {
        self.queue = queue
        self.ledger.lost()
        self.lastBell = 0
        self.controlHeard = min(self.controlHeard, queue.control.count)
        for index in self.ledger.requests.indices { self.schedule(.submit(index), in: self.random(0...5000)) }
    }

    // MARK: - Clients

    /// Asks until an answer comes, under one request id, with a job id of its own each time.
    private func submit(_ index: Int) throws {
        let request = self.ledger.requests[index]
        let submission = try self.ledger.submission(index, at: self.queueTime, &self.random)
        if self.options.sabotage == .forgetsRequests { self.queue.forgetRequests() }
        let isCarriedOut = !self.isFaulty || self.random(0...9) > 0
        let isAnswered = !self.isFaulty || self.random(0...9) > 1
        if isCarriedOut {
            let result = self.queue.submit([submission], at: self.queueTime)[0]
            self.note("request \(index) -> \(result)\(isAnswered ? "" : ", lost")")
            try self.ledger.submitted(index, result)
            // What a person decided may be lost with the rest: who hears that it waits asks for it again.
            if case .duplicate(let job, .unresolved) = result {
                self.schedule(.resolve(job, request.workspace), in: self.random(1000...20_000))
            }
            if case .accepted(let job) = result, request.isCancelled {
                self.schedule(.cancel(job, request.workspace), in: self.random(0...20_000))
            }
            if isAnswered {
                self.ledger.answered(index, result)
                // Some ask again although they were answered.
                if self.random(0...3) == 0, self.isFaulty { self.schedule(.submit(index), in: self.random(0...9000)) }
                if case .notUnique = result { self.schedule(.submit(index), in: self.random(500...3000)) }
                return
            }
        }
        self.schedule(.submit(index), in: self.random(100...5000))
    }

    // MARK: - The network

    private var delay: UInt64 {
        self.random(0...20) == 0 && self.isFaulty ? self.random(50...7000) : self.random(0...3)
    }

    /// Sends a call; its answer, or that there is none, comes later.
    func send(_ call: Call, from node: SimulatedNode, number: UInt64) {
        let isLost = self.isFaulty && self.random(0...19) == 0
        let isAnswered = !self.isFaulty || self.random(0...19) > 0
        let delay = self.delay
        if !isLost {
            self.schedule(
                .arrive(node: node.index, life: node.life, call: call, number: number, isAnswered: isAnswered),
                in: delay)
        }
        // The deadline of a call; the call may yet be carried out after it.
        self.schedule(
            .answer(
                node: node.index, life: node.life, call: call, number: number,
                .failure(JobQueueError(code: .unavailable, message: "no answer"))),
            in: isLost || !isAnswered ? self.random(5...5000) : 5000)
    }

    private func carryOut(_ call: Call, from node: SimulatedNode, life: UInt64) -> Answer {
        let identity = node.identity(life: life)
        do throws(JobQueueError) {
            switch call {
            case .join: return .deliveries(try self.queue.join(as: identity, at: self.queueTime))
            case .held(_, _, let fence):
                return .deliveries(try self.queue.held(by: identity, fence: fence, at: self.queueTime))
            case .claim(let request):
                let claim = try self.queue.claim(request, as: identity, at: self.queueTime)
                self.ledger.claimed(claim.deliveries, at: self.now)
                return .claim(claim)
            case .renew: return .renewal(try self.queue.renew(as: identity, at: self.queueTime))
            case .moveDue:
                _ = self.queue.moveDue(most: 500, at: self.queueTime)
                return .done
            case .rescue(let name):
                if self.options.sabotage == .rescuesNobody { return .done }
                _ = self.queue.rescue(name, most: 200, at: self.queueTime)
                return .done
            case .finish(let completions):
                if self.options.sabotage == .unfenced { self.queue.unfence(completions, as: identity) }
                let written = self.queue.finish(completions, as: identity, at: self.queueTime)
                for (completion, isWritten) in zip(completions, written) where isWritten {
                    guard completion.end == .unresolved, let job = completion.delivery.jobID else { continue }
                    self.schedule(.resolve(job, completion.delivery.workspace), in: self.random(1000...20_000))
                }
                return .written(written)
            case .leave:
                self.queue.leave(as: identity)
                return .done
            }
        } catch { return .failure(error) }
    }
}

extension Simulation.Call {
    var name: String {
        switch self {
        case .join: "join"
        case .held: "held"
        case .claim(let request): "claim \(request.most)"
        case .renew: "renew"
        case .moveDue: "due"
        case .rescue(let name): "rescue \(name)"
        case .finish(let completions):
            "finish \(completions.map { "\($0.delivery.jobID.map { "\($0)" } ?? "none") \($0.end)" })"
        case .leave: "leave"
        }
    }
}

extension Simulation.Answer {
    var name: String {
        switch self {
        case .deliveries(let deliveries): "\(deliveries.compactMap { $0.jobID.map { "\($0)" } })"
        case .claim(let claim): "\(claim.deliveries.compactMap { $0.jobID.map { "\($0)" } })"
        case .renewal(let renewal): "dead \(renewal.dead)"
        case .written(let written): "\(written)"
        case .done: "done"
        case .failure(let error): "\(error.code)"
        }
    }
}
