import Domain
import Foundation
import Redis
import TestSupport
import Testing

@testable import Jobs

/// Entries that Redis lost.
extension QueueTests {
    /// Takes steps until the comparison is over; returns how many entries were missing, and the lost jobs.
    private static func compare(_ bench: QueueBench) async throws -> (missing: Int, lost: [LostJob]) {
        _ = try await bench.client?.send(RedisCommand("HDEL", "orc:{l0}:compare", "at"))
        var (missing, lost) = (0, [LostJob]())
        while true {
            let step = try await bench.queue.compare(as: bench.lease("n1").identity)
            missing += step.missing
            lost += step.lost
            if !step.lost.isEmpty {
                let events = step.lost.map { ($0, Array("lost \($0.id)".utf8)) }
                #expect(try await bench.queue.lose(events, reason: "gone") == step.lost.count)
            }
            if !step.hasNextStep { return (missing, lost) }
        }
    }

    private static func withLoss(_ body: @escaping @Sendable (QueueBench, RedisClient) async throws -> Void)
        async throws
    {
        try await QueueBench.with(.redis) { bench in try await body(bench, try #require(bench.client)) }
    }

    @Test("jobs of a deleted stream end as lost, once, and release their unique keys; others are untouched")
    func deletedStream() async throws {
        try await Self.withLoss { bench, client in
            let request = UUID().uuidString
            let unique = try await bench.accept(bench.submission(request: request, unique: "only one"))
            let plain = try await bench.accept(bench.submission())
            let urgent = try await bench.accept(bench.submission(priority: .high))
            let other = try await bench.accept(bench.submission("other"))
            let delayed = try await bench.accept(bench.submission(start: .after(.seconds(60))))
            #expect(try await Self.compare(bench) == (0, []))
            _ = try await client.send(RedisCommand("DEL", "orc:{l0}:w:acme:s:2"))
            let found = try await Self.compare(bench)
            #expect(found.missing == 2 && Set(found.lost.map(\.id)) == [unique, plain])
            #expect(found.lost.allSatisfy { $0.workspace.name == "acme" && $0.action == "queue.noop" })
            for job in [unique, plain] {
                let record = try #require(try await bench.queue.job(job, in: WorkspaceID("acme")))
                #expect(record.state == .lost && record.reason == "gone")
                #expect(try await bench.audit().count { $0 == "lost \(job)" } == 1)
            }
            #expect(try await bench.state(urgent) == .available)
            #expect(try await bench.state(delayed) == .scheduled)
            #expect(try await bench.state(other, in: "other") == .available)
            #expect(try await bench.queue.statistics().waiting == 2)
            // A client that repeats its request gets the job back, and with other params it is refused as before.
            guard case .conflict = try await bench.submit(bench.submission(request: request, params: #"{"a":1}"#))
            else {
                Issue.record("other params under the ID of a lost job were accepted")
                return
            }
            try await bench.accept(bench.submission(request: request, unique: "only one"))
            #expect(try await Self.compare(bench) == (0, []))
        }
    }

    @Test("of a trimmed stream only the jobs without an entry are lost, and a running job is none of them")
    func trimmedStream() async throws {
        try await Self.withLoss { bench, client in
            let lease = try bench.lease("n1")
            _ = try await lease.join()
            let running = try await bench.accept(bench.submission())
            let delivery = try #require(try await lease.claim(ClaimRequest(most: 1)).deliveries.first)
            var waiting: [JobID] = []
            for _ in 0..<20 { waiting.append(try await bench.accept(bench.submission())) }
            _ = try await client.send(RedisCommand("XTRIM", "orc:{l0}:w:acme:s:2", "MAXLEN", "5"))
            let found = try await Self.compare(bench)
            #expect(Set(found.lost.map(\.id)) == Set(waiting.prefix(15)))
            #expect(try await bench.state(running) == .running)
            #expect(try await lease.finish([bench.completion(delivery)]) == [true])
            #expect(try await bench.state(running) == .completed)
            _ = try await Self.compare(bench)
            #expect(try await bench.queue.statistics().waiting == 5)
            #expect(try await lease.claim(ClaimRequest(most: 20)).deliveries.count == 5)
        }
    }

    @Test(
        "a delayed or retrying job that is not among the delayed ones any more ends as lost, once",
        arguments: Implementation.allCases)
    func lostWhileDelayed(_ implementation: Implementation) async throws {
        try await QueueBench.with(implementation) { bench in
            let lease = try bench.lease("n1")
            _ = try await lease.join()
            let retrying = try await bench.accept(bench.submission(unique: "only one"))
            let delivery = try #require(try await lease.claim(ClaimRequest(most: 1)).deliveries.first)
            let retry = bench.completion(delivery, .retry(after: .seconds(60)), failures: 1)
            #expect(try await lease.finish([retry]) == [true])
            func delayed(_ workspace: String) async throws -> JobID {
                try await bench.accept(bench.submission(workspace, start: .after(.seconds(60))))
            }
            let (lost, kept, other) = (try await delayed("acme"), try await delayed("acme"), try await delayed("other"))
            #expect(try await Self.compare(bench) == (0, []))
            for job in [retrying, lost] { try await bench.loseDelayed(job) }
            let found = try await Self.compare(bench)
            #expect(found.missing == 2 && Set(found.lost.map(\.id)) == [retrying, lost])
            for job in [retrying, lost] {
                let record = try #require(try await bench.queue.job(job, in: WorkspaceID("acme")))
                #expect(record.state == .lost && record.reason == "gone")
                #expect(try await bench.audit().count { $0 == "lost \(job)" } == 1)
            }
            #expect(try await bench.state(kept) == .scheduled)
            #expect(try await bench.state(other, in: "other") == .scheduled)
            try await bench.accept(bench.submission(unique: "only one"))
            #expect(try await Self.compare(bench) == (0, []))
            try await bench.advance(.seconds(61))
            #expect(try await bench.queue.moveDue(most: 9) == 2)
            #expect(try await Self.compare(bench) == (0, []))
        }
    }

    @Test("a cancelled delayed job whose member was lost is no reason to search again and again")
    func cancelledWhileDelayed() async throws {
        try await Self.withLoss { bench, client in
            let job = try await bench.accept(bench.submission(start: .after(.seconds(60))))
            let acme = try WorkspaceID("acme")
            _ = try await bench.queue.cancel(job, in: acme, request: Array("r".utf8), outcome: Array("o".utf8))
            _ = try await client.send(RedisCommand("DEL", "orc:{l0}:due"))
            let first = try await Self.compare(bench)
            #expect(first.missing == 1 && first.lost.isEmpty)
            #expect(try await Self.compare(bench) == (0, []))
            // One that is lost later is found.
            let next = try await bench.accept(bench.submission(start: .after(.seconds(60))))
            try await bench.loseDelayed(next)
            #expect(try await Self.compare(bench).lost.map(\.id) == [next])
        }
    }

    @Test("a delayed job that is lost after the search has passed it is found by the next one")
    func lostDuringSearch() async throws {
        try await Self.withLoss { bench, client in
            func delayed(_ workspace: String) async throws -> JobID {
                try await bench.accept(bench.submission(workspace, start: .after(.seconds(600))))
            }
            let (early, late) = (try await delayed("a"), try await delayed("b"))
            // It has no member either, and waits for nothing.
            let cancelled = try await delayed("b")
            let workspace = try WorkspaceID("b")
            _ = try await bench.queue.cancel(cancelled, in: workspace, request: [], outcome: [])
            for job in [late, cancelled] { try await bench.loseDelayed(job) }
            let identity = try bench.lease("n1").identity
            var step = try await bench.queue.compare(as: identity)
            #expect(step.missing == 2 && step.hasNextStep)
            while try await client.send(RedisCommand("HGET", "orc:{l0}:compare", "ws")).string == "a" {
                step = try await bench.queue.compare(as: identity)
            }
            try await bench.loseDelayed(early)
            var lost: [LostJob] = []
            while step.hasNextStep {
                step = try await bench.queue.compare(as: identity)
                lost += step.lost
                if !step.lost.isEmpty { _ = try await bench.queue.lose(step.lost.map { ($0, []) }, reason: "gone") }
            }
            #expect(lost.map(\.id) == [late])
            let next = try await Self.compare(bench)
            #expect(next.missing == 1 && next.lost.map(\.id) == [early])
            #expect(try await Self.compare(bench) == (0, []))
        }
    }

    @Test("of many delayed jobs, with params of any bytes, only those without a member are lost")
    func manyDelayed() async throws {
        try await Self.withLoss { bench, client in
            var jobs: [JobID] = []
            for number in 0..<700 {
                let submission = try bench.submission(number % 2 == 0 ? "a" : "ab", start: .after(.seconds(60)))
                jobs.append(try await bench.accept(submission))
            }
            try await bench.loseDelayed(jobs[4])
            try await bench.loseDelayed(jobs[5])
            #expect(Set(try await Self.compare(bench).lost.map(\.id)) == [jobs[4], jobs[5]])
        }
    }

    @Test("a job whose entry was lost while its node held it is found after the node's death")
    func lostWhileHeld() async throws {
        try await Self.withLoss { bench, client in
            let lease = try bench.lease("n1")
            _ = try await lease.join()
            let job = try await bench.accept(bench.submission())
            _ = try await lease.claim(ClaimRequest(most: 1))
            _ = try await client.send(RedisCommand("DEL", "orc:{l0}:w:acme:s:2"))
            #expect(try await Self.compare(bench).lost.isEmpty)
            try await bench.advance(.seconds(3600))
            _ = try await bench.queue.rescue("n1", most: 10)
            #expect(try await Self.compare(bench).lost.map(\.id) == [job])
            #expect(try await bench.state(job) == .lost)
        }
    }

    @Test("a job that gets an entry again while the search runs is not lost")
    func entryMeanwhile() async throws {
        try await Self.withLoss { bench, client in
            let lease = try bench.lease("n1")
            _ = try await lease.join()
            let job = try await bench.accept(bench.submission())
            let delivery = try #require(try await lease.claim(ClaimRequest(most: 1)).deliveries.first)
            try await bench.accept(bench.submission("other"))
            _ = try await client.send(RedisCommand("DEL", "orc:{l0}:w:other:s:2"))
            // Each step is followed by a release and a claim of the job, so that it waits in some of them.
            var (held, hasNextStep): (Delivery?, Bool) = (delivery, true)
            while hasNextStep {
                let step = try await bench.queue.compare(as: bench.lease("n1").identity)
                hasNextStep = step.hasNextStep
                #expect(step.lost.allSatisfy { $0.id != job })
                let events = step.lost.map { ($0, Array("lost".utf8)) }
                if !events.isEmpty { _ = try await bench.queue.lose(events, reason: "gone") }
                if let delivery = held {
                    _ = try await lease.finish([bench.completion(delivery, .released)])
                    held = nil
                } else {
                    held = try await lease.claim(ClaimRequest(most: 1)).deliveries.first
                }
            }
            #expect(try await bench.audit().count { $0 == "lost" } == 1)
            #expect(try await bench.state(job)?.isFinal == false)
        }
    }

    @Test("a comparison is made once in 30 seconds, however many nodes ask, and counts the audit trail")
    func compareInterval() async throws {
        try await Self.withLoss { bench, client in
            try await bench.accept(bench.submission())
            #expect(try await bench.queue.compare(as: bench.lease("n1").identity).auditEntries == 1)
            _ = try await client.send(RedisCommand("DEL", "orc:{l0}:w:acme:s:2"))
            #expect(try await bench.queue.compare(as: bench.lease("n1").identity).missing == 0)
            try await bench.advance(.seconds(31))
            #expect(try await bench.queue.compare(as: bench.lease("n1").identity).missing == 1)
            _ = try await client.send(RedisCommand("FLUSHALL"))
            try await bench.advance(.zero)
            #expect(try await bench.queue.compare(as: bench.lease("n1").identity).auditEntries == 0)
        }
    }

    @Test("what a client wrote into the records by hand stops no comparison")
    func junkRecords() async throws {
        try await Self.withLoss { bench, client in
            let job = try await bench.accept(bench.submission())
            let bucket = bench.now / 614_400
            let records = "orc:{l0}:w:acme:r:\(bucket)"
            for (field, value) in [("short", "a"), (String(repeating: "x", count: 16), "a"), ("", "")] {
                _ = try await client.send(RedisCommand("HSET", records, field, value))
            }
            // A bucket of another type, and a workspace that has never had a job.
            _ = try await client.send(RedisCommand("SET", "orc:{l0}:w:acme:r:\(bucket - 1)", "x"))
            _ = try await client.send(RedisCommand("ZADD", "orc:{l0}:workspaces", "0", "abandoned"))
            _ = try await client.send(RedisCommand("DEL", "orc:{l0}:w:acme:s:2"))
            #expect(try await Self.compare(bench).lost.map(\.id) == [job])
            #expect(try await bench.state(job) == .lost)
            let known = try await client.send(RedisCommand("ZRANGE", "orc:{l0}:workspaces", "0", "-1")).elements
            #expect(known.compactMap(\.string) == ["acme"])
        }
    }

    @Test("one node takes the steps of a comparison, and another goes on when it stops")
    func oneStepper() async throws {
        try await Self.withLoss { bench, client in
            let (first, second) = (try bench.lease("n1").identity, try bench.lease("n2").identity)
            try await bench.accept(bench.submission())
            _ = try await client.send(RedisCommand("DEL", "orc:{l0}:w:acme:s:2"))
            #expect(try await bench.queue.compare(as: first).hasNextStep)
            #expect(try await !bench.queue.compare(as: second).hasNextStep)
            #expect(try await bench.queue.compare(as: first).hasNextStep)
            try await bench.advance(.seconds(5))
            #expect(try await bench.queue.compare(as: second).hasNextStep)
            #expect(try await !bench.queue.compare(as: first).hasNextStep)
        }
    }

    @Test(
        "the jobs that nodes hold are found however old they are, of one workspace", arguments: Implementation.allCases)
    func running(implementation: Implementation) async throws {
        try await QueueBench.with(implementation) { bench in
            var held: Set<JobID> = []
            for name in ["n1", "n2"] {
                let lease = try bench.lease(name)
                _ = try await lease.join()
                held.insert(try await bench.accept(bench.submission()))
                _ = try await lease.claim(ClaimRequest(most: 1))
            }
            try await bench.accept(bench.submission())
            #expect(Set(try await bench.queue.running(in: WorkspaceID("acme"))) == held)
            #expect(try await bench.queue.running(in: WorkspaceID("other")).isEmpty)
        }
    }
}
