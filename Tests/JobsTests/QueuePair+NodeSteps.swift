import Domain
import Foundation
import Redis
import TestSupport
import Testing

@testable import Jobs
@testable import JobsModel

/// Submissions and the calls of nodes.
extension QueuePair {
    mutating func submit() async throws {
        var batch: [SealedSubmission] = []
        for _ in 0..<Int.random(in: 1...4, using: &self.random) {
            self.nextJob += 1
            let id = JobID(milliseconds: self.now, randomHigh: self.random.next(), randomLow: self.nextJob)
            let workspace = try self.workspace()
            batch.append(
                SealedSubmission(
                    id: id, workspace: workspace, action: try ActionName("queue.noop"),
                    priority: self.pick(Priority.allCases),
                    start: self.pick([
                        .now, .now, .now, .after(.seconds(self.pick([1, 20, 90]))), .at(self.now + 5000),
                    ]),
                    tags: try self.pick([[], [], ["a"], ["a", "b"]]).map { try JobTag($0) },
                    requestDigest: self.bytes(16, of: 40), paramsDigest: self.bytes(12, of: 4),
                    uniqueDigest: self.pick([nil, nil, nil, self.bytes(16, of: 3)]),
                    tick: self.pick([
                        nil, nil, nil, nil,
                        ScheduleTick(
                            schedule: try DefinitionName("s"), workspace: workspace,
                            time: UInt64(self.pick([10, 20, 30, 40]))),
                    ]),
                    envelope: [UInt8](repeating: 7, count: Int.random(in: 0...5, using: &self.random)),
                    keyID: 1, keyStamp: [], sealedTerms: self.pick([[], [], self.bytes(300, of: 3)]),
                    auditEvent: Array("submitted \(self.nextJob)".utf8)))
            self.jobs.append((workspace, id))
        }
        try self.same(
            "submit \(batch.count)", try await self.bench.queue.submit(batch), self.model.submit(batch, at: self.now))
    }

    mutating func claim() async throws {
        let node = try self.node()
        var held: [WorkspaceID: Int] = [:]
        for name in ["a", "b", "c"] where Bool.random(using: &self.random) {
            held[try WorkspaceID(name)] = Int.random(in: 0...3, using: &self.random)
        }
        let request = ClaimRequest(
            most: self.pick([1, 1, 2, 5, 20]), quantum: self.pick([1, 2, 8]), share: self.pick([2, 4, 100]), held: held,
            number: UInt64(self.pick([1, 5, 9])))
        let now = self.now
        var model = self.model
        let (left, right) = await self.outcomes(
            { try await self.bench.queue.claim(request, as: node) }, { try model.claim(request, as: node, at: now) })
        self.model = model
        try self.same(
            "claim \(node.node) \(request)", left.map { "\($0.dropped) \($0.refused) \($0.hasMore) \($0.moved)" },
            right.map { "\($0.dropped) \($0.refused) \($0.hasMore) \($0.moved)" })
        try self.learn("claim", node, left.map(\.deliveries), right.map(\.deliveries), sorted: false)
    }

    mutating func finish() async throws {
        guard !self.known.isEmpty else { return }
        var batch: [(redis: Completion, model: Completion)] = []
        let (node, _) = self.pick(self.known)
        for _ in 0..<Int.random(in: 1...4, using: &self.random) {
            let twins = self.pick(self.known).twins
            let end = self.pick([
                Completion.End.completed, .completed, .completed, .cancelled, .discarded, .unresolved, .released,
                .retry(after: .seconds(self.pick([0, 3, 60]))),
            ])
            // Only a job that can be read is retried.
            if case .retry = end, twins.redis.jobID == nil { continue }
            let failures = twins.redis.failures + 1
            let reason = self.pick(["", "because", "ünder"])
            let event = self.pick([[], Array("outcome \(failures)".utf8)])
            let leavesHome = end == .released && self.pick([true, false])
            func completion(_ delivery: Delivery) -> Completion {
                Completion(
                    delivery: delivery, end: end, action: "queue.noop", runTime: .milliseconds(3), failures: failures,
                    crashes: delivery.crashes, reason: reason, sealedTerms: [4, 5], sealedResult: [1, 2, 3],
                    auditEvent: event, leavesHome: leavesHome)
            }
            batch.append((completion(twins.redis), completion(twins.model)))
        }
        // Redis processes a batch stream by stream. The test does the same, so that both audit trails have one order.
        batch.sort {
            Self.order($0.redis) < Self.order($1.redis)
        }
        try self.same(
            "finish \(node.node) \(batch.map { "\($0.redis.end)" })",
            try await self.bench.queue.finish(batch.map(\.redis), as: node),
            self.model.finish(batch.map(\.model), as: node, at: self.now))
    }

    private static func order(_ completion: Completion) -> (String, Int, Int) {
        let entry = completion.delivery.entry
        return (entry.workspace.name, entry.priority.rawValue, completion.leavesHome ? 1 : 0)
    }

    mutating func join() async throws {
        let name = self.pick(["n1", "n2", "n3"])
        self.incarnations[name, default: 0] += self.pick([0, 1, 1])
        let current = try self.identity(name, owner: self.pick(["here", "here", "there"]))
        let isLate = Int.random(in: 0..<8, using: &self.random) == 0 && current.incarnation.value > 0
        let node =
            isLate
            ? NodeIdentity(
                node: current.node, incarnation: Incarnation(value: current.incarnation.value - 1), owner: current.owner
            )
            : current
        let now = self.now
        var model = self.model
        let (left, right) = await self.outcomes(
            { try await self.bench.queue.join(as: node) }, { try model.join(as: node, at: now) })
        self.model = model
        try self.learn("join \(node)", node, left, right, sorted: true)
    }

    mutating func held() async throws {
        let node = try self.node()
        let fence = UInt64(self.pick([0, 0, 4]))
        let now = self.now
        var model = self.model
        let (left, right) = await self.outcomes(
            { try await self.bench.queue.held(by: node, fence: fence) },
            { try model.held(by: node, fence: fence, at: now) })
        self.model = model
        try self.learn("held \(node)", node, left, right, sorted: true)
    }

    mutating func renewAndRescue() async throws {
        let node = try self.node()
        let now = self.now
        var model = self.model
        let (left, right) = await self.outcomes(
            { try await self.bench.queue.renew(as: node) }, { try model.renew(as: node, at: now) })
        self.model = model
        func ordered(_ renewal: Renewal) -> [String] {
            renewal.dead + renewal.cancelled.map(\.description).sorted() + ["\(renewal.held)"]
        }
        try self.same("renew \(node.node)", left.map(ordered), right.map(ordered))
        let dead = self.pick(["n1", "n2", "n3"])
        let most = self.pick([1, 3, 100])
        // The order of leases within a stream differs, so a rescue of only some of them would differ too.
        let all = max(most, 100)
        try self.same(
            "rescue \(dead)", try await self.bench.queue.rescue(dead, most: all),
            self.model.rescue(dead, most: all, at: self.now))
    }

    mutating func moveDue() async throws {
        let most = self.pick([1, 100])
        try self.same(
            "due \(most)", try await self.bench.queue.moveDue(most: most), self.model.moveDue(most: most, at: self.now))
    }
}
