import Domain
import TestSupport

@testable import Jobs
@testable import JobsModel

/// What must be true whatever happens: what was asked, what was answered, what took effect, counted outside the product.
struct Ledger {
    struct Request {
        let workspace: WorkspaceID
        let priority: Priority
        let start: JobStart
        let digest: [UInt8]
        let uniqueKey: UInt8?
        let isExternal: Bool
        let isCancelled: Bool
        let duration: UInt64
        let failures: Int
    }

    struct Plan {
        let isExternal: Bool
        let duration: UInt64
        let failures: Int
    }

    private(set) var requests: [Request] = []
    let limits: [WorkspaceID: WorkspaceLimits]
    /// The job that each request was accepted as, and the requests of the jobs.
    private var accepted: [Int: JobID] = [:]
    private var requestOf: [JobID: Int] = [:]
    private var isAnswered: Set<Int> = []
    private var effects: [JobID: Int] = [:]
    private var outcomes: [JobID: Int] = [:]
    private var submissions: [JobID: Int] = [:]
    private var starts: [WorkspaceID: [UInt64]] = [:]
    /// The queue has forgotten something: what was asked twice since may take effect twice.
    private var hasLost = false
    private var jobOfEvent: [[UInt8]: (kind: String, job: JobID)] = [:]

    init(requests count: Int, random: inout SeededRandom) throws {
        let free = try WorkspaceID("free")
        let narrow = try WorkspaceID("narrow")
        let slow = try WorkspaceID("slow")
        self.limits = [
            narrow: WorkspaceLimits(concurrency: 2),
            slow: WorkspaceLimits(
                weight: 3, rate: WorkspaceLimits.Rate(count: 5, period: .seconds(2))),
        ].compactMapValues { $0 }
        for index in 0..<count {
            func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }
            self.requests.append(
                Request(
                    workspace: [free, free, narrow, slow][Int.random(in: 0..<4, using: &random)],
                    priority: Priority.allCases[Int.random(in: 0..<3, using: &random)],
                    start: chance(20) ? .after(.seconds(Int.random(in: 1...20, using: &random))) : .now,
                    digest: [UInt8](repeating: UInt8(index), count: 16),
                    uniqueKey: chance(20) ? UInt8.random(in: 0..<3, using: &random) : nil,
                    isExternal: chance(30), isCancelled: chance(15),
                    duration: UInt64.random(in: chance(20) ? 1000...9000 : 1...300, using: &random),
                    failures: chance(25) ? Int.random(in: 1...6, using: &random) : 0))
        }
    }

    // MARK: - What happens

    /// The queue has forgotten some or all.
    mutating func lost() {
        self.hasLost = true
        self.accepted = [:]
        self.isAnswered = []
        self.outcomes = [:]
        self.submissions = [:]
        self.starts = [:]
    }

    mutating func submission(_ index: Int, at now: UInt64, _ random: inout SeededRandom) throws -> SealedSubmission {
        let request = self.requests[index]
        let id = JobID(milliseconds: now, randomHigh: random.next(), randomLow: random.next())
        return SealedSubmission(
            id: id, workspace: request.workspace, action: try ActionName("queue.noop"), priority: request.priority,
            start: request.start, tags: [], requestDigest: request.digest,
            paramsDigest: [UInt8](request.digest.prefix(12)),
            uniqueDigest: request.uniqueKey.map { [UInt8](repeating: $0, count: 16) }, tick: nil,
            envelope: [UInt8(index)], keyID: 1, keyStamp: [], auditEvent: self.event("submitted", id))
    }

    /// Rates begin anew.
    mutating func clockWasSet() { self.starts = [:] }

    mutating func submitted(_ index: Int, _ result: SubmissionResult) throws {
        switch result {
        case .accepted(let job):
            guard self.accepted[index] == nil else {
                throw Simulation.Violation(description: "request \(index) became two jobs")
            }
            self.accepted[index] = job
            self.requestOf[job] = index
        case .duplicate(let job, _):
            if self.hasLost, self.accepted[index] == nil { self.accepted[index] = job }
            guard self.accepted[index] == job else {
                throw Simulation.Violation(description: "request \(index) was answered with another job, \(job)")
            }
        case .notUnique(let job, _):
            guard let other = self.requestOf[job], self.requests[other].uniqueKey == self.requests[index].uniqueKey,
                self.requests[other].workspace == self.requests[index].workspace
            else { throw Simulation.Violation(description: "request \(index) was refused for a stranger's job") }
        case .conflict, .full, .quarantined, .staleKey:
            throw Simulation.Violation(description: "request \(index) was answered \(result)")
        }
    }

    mutating func answered(_ index: Int, _ result: SubmissionResult) {
        if case .notUnique = result { return }
        self.isAnswered.insert(index)
    }

    mutating func claimed(_ deliveries: [Delivery], at now: UInt64) {
        for delivery in deliveries { self.starts[delivery.workspace, default: []].append(now) }
    }

    func plan(of delivery: Delivery) throws -> Plan {
        guard let job = delivery.jobID, let index = self.requestOf[job] else {
            throw Simulation.Violation(description: "a job was delivered that nobody asked for")
        }
        let request = self.requests[index]
        guard request.workspace == delivery.workspace, delivery.envelope == [UInt8(index)] else {
            throw Simulation.Violation(description: "\(job) was delivered as another workspace's or another job")
        }
        return Plan(isExternal: request.isExternal, duration: request.duration, failures: request.failures)
    }

    /// The outside world: what has no idempotency key there takes effect each time.
    mutating func effect(_ job: JobID) throws {
        self.effects[job, default: 0] += 1
        guard let index = self.requestOf[job], self.requests[index].isExternal else { return }
        if self.effects[job, default: 0] > 1, !self.hasLost {
            throw Simulation.Violation(description: "\(job) of request \(index) took effect twice")
        }
    }

    func tookEffect(_ job: JobID) -> Bool { self.effects[job, default: 0] > 0 }

    mutating func event(_ kind: String, _ job: JobID?) -> [UInt8] {
        guard let job else { return [] }
        let event = Array("\(kind) \(job)".utf8)
        self.jobOfEvent[event] = (kind, job)
        return event
    }

    /// Reads what was added to the audit trail.
    mutating func read(_ events: [[UInt8]]) throws {
        for event in events {
            guard let (kind, job) = self.jobOfEvent[event] else { continue }
            if kind == "submitted" { self.submissions[job, default: 0] += 1 }
            if kind == "outcome" { self.outcomes[job, default: 0] += 1 }
            // It is to be tried again, and will have another outcome.
            if kind == "retried" { self.outcomes[job, default: 0] -= 1 }
            if !self.hasLost, self.outcomes[job, default: 0] > 1 || self.submissions[job, default: 0] > 1 {
                throw Simulation.Violation(description: "\(job) has two events '\(kind)' in the audit trail")
            }
        }
    }

    // MARK: - What must hold

    var areAllSubmitted: Bool { self.isAnswered.count == self.requests.count }

    func unfinished(_ queue: QueueMachine) -> [String] {
        self.accepted.compactMap { index, job in
            guard let state = queue.record(job, in: self.requests[index].workspace)?.state else {
                return "\(job) is lost"
            }
            return state.isFinal && state != .unresolved ? nil : "\(job) of request \(index) is \(state)"
        }
    }

    /// At any moment.
    func check(_ queue: QueueMachine, at now: UInt64) throws {
        func violation(_ text: String) -> Simulation.Violation { Simulation.Violation(description: text) }
        var places: [JobID: Int] = [:]
        var held: [EntryReference: Int] = [:]
        var active: [WorkspaceID: Int] = [:]
        for node in queue.nodes.values {
            for reference in node.held.values {
                held[reference, default: 0] += 1
                active[reference.workspace, default: 0] += 1
            }
        }
        var unread = 0
        for (name, stream) in queue.streams {
            unread += stream.unread.count
            for entry in stream.unread {
                if let job = entry.job { places[job, default: 0] += 1 }
            }
            for entry in stream.pending.values {
                if let job = entry.job { places[job, default: 0] += 1 }
                let reference = EntryReference(workspace: name.workspace, priority: name.priority, id: entry.id)
                guard held[reference] == 1 else {
                    throw violation("the entry \(reference) is held by \(held[reference] ?? 0) nodes")
                }
            }
        }
        for delayed in queue.due { places[delayed.job, default: 0] += 1 }
        for (index, job) in self.accepted {
            let state = queue.record(job, in: self.requests[index].workspace)?.state
            let count = places[job] ?? 0
            // A cancelled job's entry is passed by when its turn comes.
            let isRight = state?.isFinal == true ? count == 0 || count == 1 && queue.cancels[job] != nil : count == 1
            guard isRight else {
                throw violation("\(job) of request \(index), \(state.map { "\($0)" } ?? "lost"), is in \(count) places")
            }
        }
        guard active == queue.active else { throw violation("running \(active), counted \(queue.active)") }
        guard unread == queue.depth else { throw violation("\(unread) entries wait, counted \(queue.depth)") }
        for (workspace, limits) in self.limits {
            if let most = limits.concurrency, active[workspace] ?? 0 > most {
                throw violation("\(active[workspace] ?? 0) jobs of '\(workspace)' run at once")
            }
            try self.checkRate(workspace, limits)
        }
        for workspace in queue.levels.keys {
            guard queue.readyQueue.contains(workspace) || queue.parked[workspace] != nil else {
                throw violation("'\(workspace)' has work and is in no line")
            }
        }
        let keys = self.accepted.compactMap { index, job -> String? in
            let request = self.requests[index]
            guard let key = request.uniqueKey, let state = queue.record(job, in: request.workspace)?.state,
                !state.isFinal || state == .unresolved
            else { return nil }
            return "\(request.workspace) \(key)"
        }
        guard Set(keys).count == keys.count else { throw violation("two jobs of one unique key have not ended") }
    }

    /// No window of a period has more starts than the bucket's worth and what flowed in meanwhile.
    private func checkRate(_ workspace: WorkspaceID, _ limits: WorkspaceLimits) throws {
        guard let rate = limits.rate, let times = self.starts[workspace] else { return }
        let period = UInt64(rate.period.milliseconds)
        for (first, start) in times.enumerated() where first + 2 * rate.count < times.count {
            if times[first + 2 * rate.count] - start < period {
                throw Simulation.Violation(description: "'\(workspace)' starts faster than its rate")
            }
        }
    }

    /// When all has come to its end.
    func checkEnd(_ queue: QueueMachine) throws {
        for (index, job) in self.accepted {
            guard self.hasLost || self.outcomes[job] == 1 && self.submissions[job] == 1 else {
                throw Simulation.Violation(
                    description: "\(job) of request \(index) has \(self.outcomes[job] ?? 0) outcomes and "
                        + "\(self.submissions[job] ?? 0) submissions in the audit trail")
            }
            if queue.record(job, in: self.requests[index].workspace)?.state == .completed,
                self.effects[job, default: 0] == 0
            {
                throw Simulation.Violation(description: "\(job) is completed and never took effect")
            }
        }
        // Nothing is left but records, dead letters and what cancelled entries are passed by with.
        guard queue.active.isEmpty, queue.progress.isEmpty, queue.tries.isEmpty, queue.cancelling.isEmpty,
            queue.nodes.values.allSatisfy({ $0.held.isEmpty }), queue.credit.isEmpty || !queue.readyQueue.isEmpty
        else {
            throw Simulation.Violation(description: "something of ended jobs is left behind")
        }
    }
}

extension QueueMachine {
    /// As a queue would that looks at no lease.
    mutating func unfence(_ completions: [Completion], as node: NodeIdentity) {
        self.nodes[node.node.name, default: Node(incarnation: node.incarnation, owner: node.owner, expiry: 0)]
            .incarnation = node.incarnation
        for completion in completions {
            guard let job = completion.delivery.jobID else { continue }
            self.nodes[node.node.name]?.held[.job(job)] = completion.delivery.entry
        }
    }

    mutating func forgetRequests() { self.requests = [:] }
}
