import Domain
import TestSupport

@testable import Jobs
@testable import JobsModel

/// What was submitted to one queue, what was answered and what took effect, counted outside the product.
struct Ledger {
    let requests: [SimulatedRequest]
    let indices: [Int]
    let limits: [WorkspaceID: WorkspaceLimits]
    /// The job that each request was accepted as, and the requests of the jobs.
    var accepted: [Int: JobID] = [:]
    var requestOf: [JobID: Int] = [:]
    var isAnswered: Set<Int> = []
    var effects: [JobID: Int] = [:]
    var outcomes: [JobID: Int] = [:]
    var submissions: [JobID: Int] = [:]
    var starts: [WorkspaceID: [UInt64]] = [:]
    /// The queue has lost data: what is submitted again may take effect twice.
    var hasLost = false
    private var jobOfEvent: [[UInt8]: (kind: String, job: JobID)] = [:]

    /// `indices` are the numbers of those requests that are submitted to this queue.
    init(requests: [SimulatedRequest], indices: [Int], limits: [WorkspaceID: WorkspaceLimits]) {
        self.requests = requests
        self.indices = indices
        self.limits = limits
    }

    // MARK: - What happens

    /// The queue has lost some or all of its data.
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
            envelope: [UInt8(index)], keyID: 1, keyStamp: [], sealedTerms: [], auditEvent: self.event("submitted", id))
    }

    /// Rates are counted from the start again.
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
            guard let other = self.requestOf[job].map({ self.requests[$0] }),
                other.uniqueKey == self.requests[index].uniqueKey, other.workspace == self.requests[index].workspace
            else {
                throw Simulation.Violation(description: "request \(index) was refused for a job of another unique key")
            }
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

    /// The request that a delivered job was accepted from.
    func plan(of delivery: Delivery) throws -> SimulatedRequest {
        guard let job = delivery.jobID, let index = self.requestOf[job] else {
            throw Simulation.Violation(description: "a job was delivered that no client submitted")
        }
        let request = self.requests[index]
        guard request.workspace == delivery.workspace, delivery.envelope == [UInt8(index)] else {
            throw Simulation.Violation(description: "\(job) was delivered as another workspace's or another job")
        }
        return request
    }

    /// The job took effect outside.
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

    /// Counts what was added to the audit trail.
    mutating func read(_ events: [[UInt8]]) throws {
        for event in events {
            guard let (kind, job) = self.jobOfEvent[event] else { continue }
            if kind == "submitted" { self.submissions[job, default: 0] += 1 }
            if kind == "outcome" { self.outcomes[job, default: 0] += 1 }
            // It runs again, and has another outcome then.
            if kind == "retried" { self.outcomes[job, default: 0] -= 1 }
            if !self.hasLost, self.outcomes[job, default: 0] > 1 || self.submissions[job, default: 0] > 1 {
                throw Simulation.Violation(description: "\(job) has two events '\(kind)' in the audit trail")
            }
        }
    }
}
