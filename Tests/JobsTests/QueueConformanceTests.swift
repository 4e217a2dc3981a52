import Domain
import Foundation
import TestSupport
import Testing

@testable import Jobs

/// The rules that every queue must follow, tested for both implementations.
@Suite("Either job queue", .enabled(if: isInstalled("redis-server"), "needs redis-server"))
struct QueueConformanceTests {
    @Test("a job goes from submission to its end, with its audit events", arguments: Implementation.allCases)
    func wholeLife(_ implementation: Implementation) async throws {
        try await QueueBench.with(implementation) { bench in
            let submission = try bench.submission(params: #"{"note":"x"}"#, tags: ["nightly", "big"])
            let job = try await bench.accept(submission)
            let lease = try bench.lease("n1")
            #expect(try await lease.join().isEmpty)
            let delivery = try #require(try await lease.claim(ClaimRequest(most: 10)).deliveries.first)
            #expect(try await JobEnvelope.open(delivery, keys: bench.keys) == submission.job)
            #expect(try await bench.state(job) == .running)
            try await bench.advance(.seconds(1))
            #expect(try await lease.finish([bench.completion(delivery)]) == [true])
            #expect(try await lease.finish([bench.completion(delivery)]) == [false])
            let record = try #require(try await bench.queue.job(job, in: submission.job.workspace))
            #expect(record.state == .completed && record.node == "n1" && record.finishedAt == bench.now)
            #expect(record.startedAt == bench.now - 5)
            #expect(try await bench.audit() == ["submitted", "outcome completed"])
            #expect(try await bench.queue.statistics().waiting == 0)
        }
    }

    @Test("a request ID is one job for a day, to the millisecond", arguments: Implementation.allCases)
    func idempotency(_ implementation: Implementation) async throws {
        try await QueueBench.with(implementation) { bench in
            let request = UUID().uuidString
            let first = try await bench.accept(try bench.submission(request: request))
            #expect(
                try await bench.submit(try bench.submission(request: request)) == .duplicate(first, state: .available))
            #expect(
                try await bench.submit(try bench.submission(request: request, params: #"{"a":1}"#))
                    == .conflict(first: first))
            try await bench.accept(try bench.submission("other", request: request))
            try await bench.advance(.seconds(86_400) - .milliseconds(1))
            #expect(
                try await bench.submit(try bench.submission(request: request)) == .duplicate(first, state: .available))
            try await bench.advance(.milliseconds(1))
            try await bench.accept(try bench.submission(request: request))
            // Also within one call.
            let twice = UUID().uuidString
            let (one, two) = (try bench.submission(request: twice), try bench.submission(request: twice))
            #expect(
                try await bench.queue.submit([one, two], keys: bench.keys)
                    == [.accepted(one.job.id), .duplicate(one.job.id, state: .available)])
            #expect(try await bench.queue.statistics().duplicates == 3)
        }
    }

    @Test("a unique key holds until its job has ended, however that ends", arguments: Implementation.allCases)
    func unique(_ implementation: Implementation) async throws {
        try await QueueBench.with(implementation) { bench in
            let lease = try bench.lease("n1")
            _ = try await lease.join()
            let first = try await bench.accept(try bench.submission(unique: "report"))
            #expect(
                try await bench.submit(try bench.submission(unique: "report")) == .notUnique(first, state: .available))
            try await bench.accept(try bench.submission("other", unique: "report"))
            for end in [Completion.End.released, .retry(after: .zero)] {
                let delivery = try #require(
                    try await lease.claim(ClaimRequest(most: 10)).deliveries.first { $0.jobID == first })
                #expect(try await lease.finish([bench.completion(delivery, end)]) == [true])
                _ = try await bench.queue.moveDue(most: 10)
                #expect(
                    try await bench.submit(try bench.submission(unique: "report"))
                        == .notUnique(first, state: .available))
            }
            let last = try #require(
                try await lease.claim(ClaimRequest(most: 10)).deliveries.first { $0.jobID == first })
            #expect(try await lease.finish([bench.completion(last, .discarded)]) == [true])
            let second = try await bench.accept(try bench.submission(unique: "report"))
            _ = try await bench.queue.cancel(second, in: try WorkspaceID("acme"), request: [], outcome: Array("x".utf8))
            try await bench.accept(try bench.submission(unique: "report"))
        }
    }

    @Test(
        "a tick of a schedule makes at most one job, and an earlier tick makes none", arguments: Implementation.allCases
    )
    func ticks(_ implementation: Implementation) async throws {
        try await QueueBench.with(implementation) { bench in
            func tick(_ time: UInt64) throws -> Submission {
                try bench.submission(
                    tick: ScheduleTick(
                        schedule: try DefinitionName("nightly"), workspace: try WorkspaceID("acme"), time: time))
            }
            try await bench.accept(try tick(1000))
            let again = try tick(1000)
            #expect(try await bench.submit(again) == .duplicate(again.job.id, state: nil))
            let before = try tick(999)
            #expect(try await bench.submit(before) == .duplicate(before.job.id, state: nil))
            try await bench.accept(try tick(2000))
        }
    }

    @Test("a list of jobs continues after any of its jobs", arguments: Implementation.allCases)
    func pages(_ implementation: Implementation) async throws {
        try await QueueBench.with(implementation) { bench in
            let workspace = try WorkspaceID("acme")
            var ids: [JobID] = []
            for _ in 0..<5 { ids.insert(try await bench.accept(try bench.submission()), at: 0) }
            let after = try await bench.queue.jobs(in: workspace, limit: 2, tag: nil, after: ids[1]).map(\.id)
            #expect(after == [ids[2], ids[3]])
            #expect(try await bench.queue.jobs(in: workspace, limit: 2, tag: nil, after: ids[4]).isEmpty)
            let stranger = JobID(milliseconds: 1, randomHigh: 1, randomLow: 1)
            #expect(try await bench.queue.jobs(in: workspace, limit: 2, tag: nil, after: stranger).isEmpty)
        }
    }

    @Test("jobs are found by their tags, the newest first", arguments: Implementation.allCases)
    func tags(_ implementation: Implementation) async throws {
        try await QueueBench.with(implementation) { bench in
            let workspace = try WorkspaceID("acme")
            let one = try await bench.accept(try bench.submission(tags: ["a"]))
            let two = try await bench.accept(try bench.submission(tags: ["a", "b"]))
            let three = try await bench.accept(try bench.submission())
            func found(_ tag: String?) async throws -> [JobID] {
                try await bench.queue.jobs(in: workspace, limit: 10, tag: try tag.map { try JobTag($0) }).map(\.id)
            }
            #expect(try await found("a") == [two, one])
            #expect(try await found("b") == [two])
            #expect(try await found("c") == [])
            #expect(try await found(nil) == [three, two, one])
            #expect(try await bench.queue.job(two, in: workspace)?.tags == ["a", "b"])
            #expect(try await bench.queue.jobs(in: try WorkspaceID("other"), limit: 10, tag: nil).isEmpty)
        }
    }

    @Test(
        "a weight determines the share of the nodes, also of a node with one slot", arguments: Implementation.allCases)
    func weights(_ implementation: Implementation) async throws {
        try await QueueBench.with(implementation) { bench in
            let lease = try bench.lease("n1")
            _ = try await lease.join()
            try await bench.queue.setLimits(WorkspaceLimits(weight: 3), of: try WorkspaceID("big"), auditEvent: [])
            for workspace in ["big", "small"] {
                for _ in 0..<60 { try await bench.accept(try bench.submission(workspace)) }
            }
            var served: [String: Int] = [:]
            for _ in 0..<40 {
                let claim = try await lease.claim(ClaimRequest(most: 1, quantum: 1))
                served[try #require(claim.deliveries.first).workspace.name, default: 0] += 1
            }
            #expect(served == ["big": 30, "small": 10])
            // The same for a node with many slots.
            var many: [String: Int] = [:]
            for delivery in try await lease.claim(ClaimRequest(most: 32, quantum: 8)).deliveries {
                many[delivery.workspace.name, default: 0] += 1
            }
            #expect(many == ["big": 24, "small": 8])
        }
    }

    @Test(
        "a concurrency limit holds over all nodes, and the end of a job admits the next one",
        arguments: Implementation.allCases)
    func concurrency(_ implementation: Implementation) async throws {
        try await QueueBench.with(implementation) { bench in
            let workspace = try WorkspaceID("acme")
            let (one, two) = (try bench.lease("n1"), try bench.lease("n2"))
            _ = try await one.join()
            _ = try await two.join()
            try await bench.queue.setLimits(WorkspaceLimits(concurrency: 3), of: workspace, auditEvent: [])
            for _ in 0..<10 { try await bench.accept(try bench.submission()) }
            try await bench.accept(try bench.submission("other"))
            let first = try await one.claim(ClaimRequest(most: 2)).deliveries
            #expect(first.count == 2)
            let second = try await two.claim(ClaimRequest(most: 10)).deliveries
            #expect(second.map(\.workspace.name).sorted() == ["acme", "other"])
            #expect(try await one.claim(ClaimRequest(most: 10)).deliveries.isEmpty)
            #expect(try await bench.queue.statistics().parked == 1)
            #expect(try await bench.queue.workspaceLimits().first?.running == 3)
            // An end, a release and a rescue each make room for other jobs.
            var position = try await bench.queue.position(after: nil)
            #expect(try await one.finish([bench.completion(first[0])]) == [true])
            #expect(try await bench.queue.listen(from: &position, timeout: .seconds(20)).isEmpty)
            #expect(try await two.claim(ClaimRequest(most: 10)).deliveries.count == 1)
            #expect(try await one.finish([bench.completion(first[1], .released)]) == [true])
            #expect(try await two.claim(ClaimRequest(most: 10)).deliveries.count == 1)
            try await bench.advance(.seconds(31))
            _ = try await one.renew()
            #expect(try await bench.queue.rescue("n2", most: 100) == 4)
            #expect(try await one.claim(ClaimRequest(most: 10)).deliveries.count == 4)
            // Without the limit the remaining jobs are delivered.
            try await bench.queue.setLimits(nil, of: workspace, auditEvent: [])
            #expect(try await one.claim(ClaimRequest(most: 10)).deliveries.count == 6)
        }
    }

    @Test(
        "a workspace in quarantine accepts and starts no jobs, and continues after its release",
        arguments: Implementation.allCases)
    func quarantine(_ implementation: Implementation) async throws {
        try await QueueBench.with(implementation) { bench in
            let workspace = try WorkspaceID("acme")
            let lease = try bench.lease("n1")
            _ = try await lease.join()
            let known = try bench.submission()
            for submission in [known, try bench.submission(), try bench.submission("other")] {
                try await bench.accept(submission)
            }
            let running = try await lease.claim(ClaimRequest(most: 1)).deliveries
            #expect(running.map(\.workspace.name) == ["acme"])
            #expect(try await bench.queue.quarantine(workspace, reason: "seen", auditEvent: []))
            #expect(try await !bench.queue.quarantine(workspace, reason: "again", auditEvent: []))
            #expect(try await bench.queue.quarantined() == [Quarantine(workspace: "acme", reason: "again")])
            #expect(try await bench.submit(try bench.submission()) == .quarantined)
            // Duplicates of earlier requests are still recognized, and running jobs may end.
            guard case .duplicate = try await bench.submit(known) else {
                Issue.record("the repeat was not known")
                return
            }
            #expect(try await lease.claim(ClaimRequest(most: 10)).deliveries.map(\.workspace.name) == ["other"])
            #expect(try await lease.finish([bench.completion(running[0])]) == [true])
            #expect(try await lease.claim(ClaimRequest(most: 10)).deliveries.isEmpty)
            #expect(try await bench.queue.quarantine(workspace, reason: nil, auditEvent: []))
            #expect(try await bench.queue.quarantined().isEmpty)
            #expect(try await lease.claim(ClaimRequest(most: 10)).deliveries.count == 1)
            try await bench.accept(try bench.submission())
        }
    }

    @Test("a rate holds over all nodes: a burst of one period's worth, then evenly", arguments: Implementation.allCases)
    func rates(_ implementation: Implementation) async throws {
        try await QueueBench.with(implementation) { bench in
            let rate = try #require(WorkspaceLimits.Rate(count: 10, period: .seconds(60)))
            try await bench.queue.setLimits(
                WorkspaceLimits(rate: rate), of: try WorkspaceID("acme"), auditEvent: [])
            let nodes = [try bench.lease("n1"), try bench.lease("n2")]
            for node in nodes { _ = try await node.join() }
            for _ in 0..<40 { try await bench.accept(try bench.submission()) }
            var started = 0
            for _ in 0..<2 {
                for node in nodes { started += try await node.claim(ClaimRequest(most: 7)).deliveries.count }
            }
            #expect(started == 10)
            // A job each six seconds from here on.
            for second in 1...60 {
                try await bench.advance(.seconds(1))
                _ = try await bench.queue.moveDue(most: 10)
                for node in nodes { started += try await node.claim(ClaimRequest(most: 7)).deliveries.count }
                #expect(started == 10 + second / 6)
            }
        }
    }

    @Test("only a person decides on an unresolved job", arguments: Implementation.allCases)
    func unresolved(_ implementation: Implementation) async throws {
        try await QueueBench.with(implementation) { bench in
            let workspace = try WorkspaceID("acme")
            let lease = try bench.lease("n1")
            _ = try await lease.join()
            for (resolution, state) in [
                (Resolution.done, JobState.completed), (.failed, .discarded), (.retry, .available),
            ] {
                let job = try await bench.accept(try bench.submission(unique: "effect"))
                let delivery = try #require(try await lease.claim(ClaimRequest(most: 1)).deliveries.first)
                #expect(
                    try await lease.finish([bench.completion(delivery, .unresolved, reason: "the answer was lost")])
                        == [true])
                #expect(try await bench.state(job) == .unresolved)
                #expect(try await bench.queue.deadLetters(in: workspace, limit: 9).first?.state == .unresolved)
                // It may run again: its unique key holds, and it can be neither requeued nor dropped.
                #expect(
                    try await bench.submit(try bench.submission(unique: "effect"))
                        == .notUnique(job, state: .unresolved))
                #expect(try await bench.queue.requeue(job, in: workspace, auditEvent: []) == .isUnresolved)
                #expect(try await bench.queue.drop(job, in: workspace, auditEvent: []) == .isUnresolved)
                #expect(
                    try await !bench.queue.resolve(
                        job, in: try WorkspaceID("other"), as: resolution, reason: "", auditEvent: []))
                let event = Array("resolved".utf8)
                #expect(
                    try await bench.queue.resolve(job, in: workspace, as: resolution, reason: "seen", auditEvent: event)
                )
                #expect(
                    try await !bench.queue.resolve(
                        job, in: workspace, as: resolution, reason: "seen", auditEvent: event))
                #expect(try await bench.state(job) == state)
            }
            #expect(try await bench.queue.deadLetters(in: workspace, limit: 9).isEmpty)
            #expect(try await lease.claim(ClaimRequest(most: 9)).deliveries.first?.crashes == 0)
            #expect(try await bench.audit().count { $0 == "resolved" } == 3)
        }
    }

    @Test("only the node that runs a job reports its progress", arguments: Implementation.allCases)
    func progress(_ implementation: Implementation) async throws {
        try await QueueBench.with(implementation) { bench in
            let (one, two) = (try bench.lease("n1"), try bench.lease("n2"))
            _ = try await one.join()
            _ = try await two.join()
            let job = try await bench.accept(try bench.submission())
            let delivery = try #require(try await one.claim(ClaimRequest(most: 1)).deliveries.first)
            let key = try await bench.keys.currentKey(of: delivery.workspace)
            let half = try JobEnvelope.seal(
                JobProgress(percent: 40, text: "half: way"), of: job, in: delivery.workspace, with: key)
            let other = SealedProgress(percent: 90, sealedText: [])
            #expect(try await one.noteProgress(half, of: job))
            #expect(try await !two.noteProgress(other, of: job))
            let record = try #require(try await bench.queue.job(job, in: delivery.workspace))
            let shown = try await JobEnvelope.progress(of: record, in: delivery.workspace, keys: bench.keys)
            #expect(shown == JobProgress(percent: 40, text: "half: way", time: bench.now))
            // What another writer stored shows the percentage only.
            #expect(try await one.noteProgress(other, of: job))
            let odd = try #require(try await bench.queue.job(job, in: delivery.workspace))
            let text = try await JobEnvelope.progress(of: odd, in: delivery.workspace, keys: bench.keys)
            #expect(text == JobProgress(percent: 90, text: "", time: bench.now))
            #expect(try await one.finish([bench.completion(delivery)]) == [true])
            #expect(try await !one.noteProgress(other, of: job))
            #expect(try await bench.queue.job(job, in: delivery.workspace)?.progress == nil)
        }
    }

    @Test(
        "a dead node's jobs are rescued when its lease has expired, and its outcomes are refused",
        arguments: Implementation.allCases)
    func rescue(_ implementation: Implementation) async throws {
        try await QueueBench.with(implementation) { bench in
            let (dead, alive) = (try bench.lease("n1", owner: "a"), try bench.lease("n2", owner: "b"))
            _ = try await dead.join()
            _ = try await alive.join()
            let job = try await bench.accept(try bench.submission())
            let lost = try #require(try await dead.claim(ClaimRequest(most: 1)).deliveries.first)
            try await bench.advance(.seconds(29))
            #expect(try await bench.queue.rescue("n1", most: 10) == 0)
            _ = try await alive.renew()
            try await bench.advance(.seconds(2))
            #expect(try await alive.renew().dead == ["n1"])
            #expect(try await bench.queue.rescue("n1", most: 10) == 1)
            #expect(try await bench.state(job) == .available)
            let taken = try #require(try await alive.claim(ClaimRequest(most: 1)).deliveries.first)
            #expect(taken.crashes == 1 && taken.jobID == job)
            #expect(try await dead.finish([bench.completion(lost)]) == [false])
            let renewal = await #expect(throws: JobQueueError.self) { try await dead.renew() }
            #expect(renewal?.code == .unknownNode)
            #expect(try await alive.finish([bench.completion(taken)]) == [true])
            #expect(try await bench.audit() == ["submitted", "outcome completed"])
        }
    }

    @Test(
        "many cancelled jobs do not hide the job that follows them",
        arguments: Implementation.allCases)
    func cancelledFlood(_ implementation: Implementation) async throws {
        try await QueueBench.with(implementation) { bench in
            let lease = try bench.lease("n1")
            _ = try await lease.join()
            for _ in 0..<300 {
                let job = try await bench.accept(try bench.submission())
                _ = try await bench.queue.cancel(job, in: try WorkspaceID("acme"), request: [], outcome: [])
            }
            let last = try await bench.accept(try bench.submission())
            var dropped = 0
            var claim: Claim
            repeat {
                claim = try await lease.claim(ClaimRequest(most: 16))
                dropped += claim.dropped
            } while claim.deliveries.isEmpty && claim.dropped > 0
            #expect(dropped == 300)
            #expect(claim.deliveries.map(\.jobID) == [last])
        }
    }

    @Test(
        "a delayed claim that was abandoned delivers nothing, nor does the delayed join of an earlier incarnation",
        arguments: Implementation.allCases)
    func late(_ implementation: Implementation) async throws {
        try await QueueBench.with(implementation) { bench in
            let lease = try bench.lease("n1", 2)
            _ = try await lease.join()
            try await bench.accept(try bench.submission())
            #expect(try await lease.held(fence: 5).isEmpty)
            let error = await #expect(throws: JobQueueError.self) {
                try await lease.claim(ClaimRequest(most: 1, number: 4))
            }
            #expect(error?.code == .unavailable)
            #expect(try await lease.claim(ClaimRequest(most: 1, number: 5)).deliveries.count == 1)
            #expect(try await lease.renew().held == 1)
            let earlier = try bench.lease("n1", 1)
            let refused = await #expect(throws: JobQueueError.self) { try await earlier.join() }
            #expect(refused?.code == .replaced)
            // The current incarnation is not affected, and the next one starts without a fence.
            #expect(try await lease.renew().held == 1)
            let next = try bench.lease("n1", 3)
            #expect(try await next.join().count == 1)
            #expect(try await next.claim(ClaimRequest(most: 1, number: 1)).deliveries.isEmpty)
        }
    }

    @Test(
        "after the clock goes back an hour, leases expire in time, no workspace is blocked and no request is doubled",
        arguments: Implementation.allCases)
    func clockBack(_ implementation: Implementation) async throws {
        try await QueueBench.with(implementation) { bench in
            // Shortly after the start of a period of request IDs.
            let period: UInt64 = 43_200_000
            try await bench.advance(.milliseconds(Int64(period - bench.now % period) + 500))
            let (dead, alive) = (try bench.lease("n1"), try bench.lease("n2"))
            _ = try await dead.join()
            _ = try await alive.join()
            let rate = try #require(WorkspaceLimits.Rate(count: 1, period: .seconds(60)))
            try await bench.queue.setLimits(
                WorkspaceLimits(rate: rate), of: try WorkspaceID("slow"), auditEvent: [])
            for _ in 0..<2 { try await bench.accept(try bench.submission("slow")) }
            let request = UUID().uuidString
            let job = try await bench.accept(try bench.submission(request: request))
            _ = try await bench.queue.moveDue(most: 1)
            #expect(try await dead.claim(ClaimRequest(most: 9)).deliveries.count == 2)
            #expect(try await bench.queue.statistics().parked == 1)

            try await bench.advance(.seconds(-3600))
            #expect(
                try await bench.submit(try bench.submission(request: request)) == .duplicate(job, state: .running))
            _ = try await bench.queue.moveDue(most: 1)
            #expect(try await alive.claim(ClaimRequest(most: 9)).deliveries.map(\.workspace.name) == ["slow"])
            try await bench.advance(.seconds(29))
            #expect(try await bench.queue.rescue("n1", most: 9) == 0)
            _ = try await alive.renew()
            try await bench.advance(.seconds(2))
            #expect(try await alive.renew().dead == ["n1"])
            #expect(try await bench.queue.rescue("n1", most: 9) == 2)
        }
    }
}
