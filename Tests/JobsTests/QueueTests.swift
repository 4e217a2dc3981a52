import Cryptography
import Domain
import Foundation
import Redis
import TestSupport
import Testing

@testable import Jobs

@Suite("The job queue", .enabled(if: isInstalled("redis-server"), "needs redis-server"))
struct QueueTests {
    struct Bench: Sendable {
        let redis: TestRedis
        let client: RedisClient
        let queue: any JobQueue
        let keys: WorkspaceKeyring

        func lease(_ node: String, _ incarnation: UInt64, owner: String = "here") throws -> NodeLease {
            NodeLease(
                queue: self.queue,
                identity: NodeIdentity(
                    node: try NodeID(node), incarnation: Incarnation(value: incarnation), owner: owner))
        }

        func submission(
            _ workspace: String = "acme", request: String = UUID().uuidString, params: String = "{}"
        ) async throws -> Submission {
            let id = JobID(
                milliseconds: try await self.queue.time(), randomHigh: .random(in: 0...(.max)),
                randomLow: .random(in: 0...(.max)))
            return Submission(
                job: Job(
                    id: id, workspace: try WorkspaceID(workspace), action: try ActionName("queue.noop"),
                    requestID: try RequestID(request), actor: "test", submittedAt: id.milliseconds,
                    params: Array(params.utf8)),
                auditEvent: Array("submitted".utf8))
        }

        func submit(_ submission: Submission) async throws -> SubmissionResult {
            try #require(try await self.queue.submit([submission], keys: self.keys).first)
        }

        func completion(_ delivery: Delivery, _ end: Completion.End = .completed) -> Completion {
            Completion(
                delivery: delivery, end: end, action: "queue.noop", failures: 0, crashes: 0,
                auditEvent: Array("outcome".utf8))
        }

        func auditCount(_ text: String) async throws -> Int {
            let entries = try await self.client.send(RedisCommand("XRANGE", "orc:{l0}:audit", "-", "+")).elements
            return entries.flatMap { $0.elements[1].elements }.count { $0.string == text }
        }
    }

    static func withBench(
        limits: QueueLimits = QueueLimits(), _ body: @escaping @Sendable (Bench) async throws -> Void
    ) async throws {
        try await withDirectory { directory in
            try await withRedis(in: directory) { redis in
                try await withClient(redis.configuration) { client in
                    try await withClient(redis.configuration) { blocking in
                        let queue = RedisStreamJobQueue(client: client, blocking: blocking, limits: limits)
                        let keys = WorkspaceKeyring(
                            queue: queue, master: try SealingKey(bytes: [UInt8](repeating: 9, count: 32)))
                        try await body(Bench(redis: redis, client: client, queue: queue, keys: keys))
                    }
                }
            }
        }
    }

    @Test("a job travels from submission to its completion, and nothing of it is left but its record")
    func wholeLife() async throws {
        try await Self.withBench { bench in
            let submission = try await bench.submission(params: #"{"note":"marker-in-params"}"#)
            #expect(try await bench.submit(submission) == .accepted(submission.job.id))
            let lease = try bench.lease("n1", 1)
            #expect(try await lease.join().isEmpty)
            let delivery = try #require(try await lease.claim(ClaimRequest(most: 10)).deliveries.first)
            #expect(try await JobEnvelope.open(delivery, keys: bench.keys) == submission.job)
            #expect(try await bench.queue.job(submission.job.id, in: submission.job.workspace)?.state == .running)
            #expect(try await lease.finish([bench.completion(delivery)]) == [true])
            let record = try #require(try await bench.queue.job(submission.job.id, in: submission.job.workspace))
            #expect(record.state == .completed)
            #expect(try await bench.client.send(RedisCommand("XLEN", "orc:{l0}:w:acme:s:2")).integer == 0)
            #expect(try await bench.client.send(RedisCommand("HLEN", "orc:{l0}:run:n1")).integer == 1)
            #expect(try await bench.auditCount("submitted") == 1)
            #expect(try await bench.auditCount("outcome") == 1)
            #expect(try await lease.claim(ClaimRequest(most: 10)).deliveries.isEmpty)
        }
    }

    @Test("the same request id answers the first job; with other params it is refused; neither stores anything")
    func idempotency() async throws {
        try await Self.withBench { bench in
            let request = UUID().uuidString
            let first = try await bench.submission(request: request)
            #expect(try await bench.submit(first) == .accepted(first.job.id))
            #expect(
                try await bench.submit(try await bench.submission(request: request))
                    == .duplicate(first.job.id, state: .available))
            #expect(
                try await bench.submit(try await bench.submission(request: request, params: #"{"note":"x"}"#))
                    == .conflict(first: first.job.id))
            // Another workspace has request ids of its own.
            let other = try await bench.submission("other", request: request)
            #expect(try await bench.submit(other) == .accepted(other.job.id))
            #expect(try await bench.client.send(RedisCommand("XLEN", "orc:{l0}:w:acme:s:2")).integer == 1)
        }
    }

    @Test("a request id is remembered for its time, by Redis' clock, and its record passes away after it")
    func idempotencyTime() async throws {
        let limits = QueueLimits(idempotency: .milliseconds(500))
        try await Self.withBench(limits: limits) { bench in
            let request = UUID().uuidString
            let first = try await bench.submission(request: request)
            #expect(try await bench.submit(first) == .accepted(first.job.id))
            while true {
                let again = try await bench.submission(request: request)
                let result = try await bench.submit(again)
                guard result != .accepted(again.job.id) else {
                    #expect(try await bench.queue.time() >= first.job.id.milliseconds + 500)
                    break
                }
                #expect(result == .duplicate(first.job.id, state: .available))
                #expect(again.job.id.milliseconds <= first.job.id.milliseconds + 500)
                try await ContinuousClock().sleep(for: .milliseconds(10))
            }
            try await eventually("nothing of request ids is left") {
                try await bench.client.send(RedisCommand("KEYS", "orc:{l0}:w:acme:i:*")).elements.isEmpty
            }
        }
    }

    @Test("1,000 duplicates at once are one job")
    func duplicatesAtOnce() async throws {
        try await Self.withBench { bench in
            let request = UUID().uuidString
            let results = try await withThrowingTaskGroup(of: SubmissionResult.self) { group in
                for _ in 0..<1000 {
                    group.addTask { try await bench.submit(try await bench.submission(request: request)) }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(results.count { if case .accepted = $0 { true } else { false } } == 1)
            #expect(try await bench.client.send(RedisCommand("XLEN", "orc:{l0}:w:acme:s:2")).integer == 1)
        }
    }

    @Test("a full stream refuses, and stores neither job nor request id")
    func bound() async throws {
        try await Self.withBench(limits: QueueLimits(streamLength: 2)) { bench in
            for _ in 0..<2 { _ = try await bench.submit(try await bench.submission()) }
            let refused = try await bench.submission(request: UUID().uuidString)
            #expect(try await bench.submit(refused) == .full)
            let records = try #require(
                try await bench.client.send(RedisCommand("KEYS", "orc:{l0}:w:acme:i:*")).elements.first?.string)
            #expect(try await bench.client.send(RedisCommand("HLEN", records)).integer == 2)
        }
    }

    @Test("a newer incarnation takes over what the older held; the older is fenced in everything")
    func fencing() async throws {
        try await Self.withBench { bench in
            let submission = try await bench.submission()
            _ = try await bench.submit(submission)
            let old = try bench.lease("n1", 1)
            _ = try await old.join()
            let held = try #require(try await old.claim(ClaimRequest(most: 1)).deliveries.first)
            let new = try bench.lease("n1", 2)
            let taken = try #require(try await new.join().first)
            #expect(taken.isRecovered && taken.crashes == 1 && taken.jobID == submission.job.id)
            #expect(try await old.finish([bench.completion(held)]) == [false])
            let claim = await #expect(throws: JobQueueError.self) {
                try await old.claim(ClaimRequest(most: 1)).deliveries
            }
            #expect(claim?.code == .replaced)
            let renewal = await #expect(throws: JobQueueError.self) { try await old.renew() }
            #expect(renewal?.code == .replaced)
            #expect(try await bench.auditCount("outcome") == 0)
            #expect(try await new.finish([bench.completion(taken)]) == [true])
            #expect(try await new.finish([bench.completion(taken)]) == [false])
            #expect(try await bench.auditCount("outcome") == 1)
        }
    }

    @Test("a dead node's jobs go to another once its lease is over, not before")
    func rescue() async throws {
        try await Self.withBench { bench in
            _ = try await bench.submit(try await bench.submission())
            let dead = try bench.lease("n1", 1, owner: "machine-1")
            _ = try await dead.join()
            let lost = try #require(try await dead.claim(ClaimRequest(most: 1)).deliveries.first)
            let alive = try bench.lease("n2", 1, owner: "machine-2")
            _ = try await alive.join()
            #expect(try await alive.queue.rescue("n1", most: 200) == 0)
            // As if the lease had run out: its end is put into the past.
            _ = try await bench.client.send(RedisCommand("ZADD", "orc:{l0}:nodes", "1", "n1"))
            #expect(try await alive.renew().dead == ["n1"])
            #expect(try await alive.queue.rescue("n1", most: 200) == 1)
            let taken = try #require(try await alive.claim(ClaimRequest(most: 1)).deliveries.first)
            #expect(taken.crashes == 1)
            #expect(try await dead.finish([bench.completion(lost)]) == [false])
            #expect(try await alive.finish([bench.completion(taken)]) == [true])
        }
    }

    @Test("a node's name is not taken from another machine while that one lives")
    func nameTaken() async throws {
        try await Self.withBench { bench in
            _ = try await bench.lease("n1", 1, owner: "machine-1").join()
            let error = await #expect(throws: JobQueueError.self) {
                try await bench.lease("n1", 2, owner: "machine-2").join()
            }
            #expect(error?.code == .nameTaken)
        }
    }

    @Test(
        "a released job goes back uncounted, a retried one when its time has come, a discarded one to the dead letters")
    func ends() async throws {
        try await Self.withBench { bench in
            let submission = try await bench.submission()
            _ = try await bench.submit(submission)
            let lease = try bench.lease("n1", 1)
            _ = try await lease.join()
            let first = try #require(try await lease.claim(ClaimRequest(most: 1)).deliveries.first)
            #expect(try await lease.finish([bench.completion(first, .released)]) == [true])
            let second = try #require(try await lease.claim(ClaimRequest(most: 1)).deliveries.first)
            #expect(second.crashes == 0 && second.failures == 0 && second.envelope == first.envelope)
            let failed = Completion(
                delivery: second, end: .retry(after: .milliseconds(50)), action: "a", failures: 1, crashes: 0,
                reason: "once")
            #expect(try await lease.finish([failed]) == [true])
            #expect(try await bench.queue.job(submission.job.id, in: submission.job.workspace)?.state == .retryable)
            #expect(try await lease.claim(ClaimRequest(most: 1)).deliveries.isEmpty)
            try await eventually("the retry is due") { try await lease.queue.moveDue(most: 500) == 1 }
            let third = try #require(try await lease.claim(ClaimRequest(most: 1)).deliveries.first)
            #expect(third.failures == 1)
            #expect(try await lease.finish([bench.completion(third, .discarded)]) == [true])
            #expect(try await bench.client.send(RedisCommand("XLEN", "orc:{l0}:w:acme:dead")).integer == 1)
            #expect(try await bench.client.send(RedisCommand("EXISTS", "orc:{l0}:tries")).integer == 0)
        }
    }

    @Test("an entry moved to another workspace, under another id, or damaged cannot be opened")
    func forgery() async throws {
        try await Self.withBench { bench in
            let submission = try await bench.submission()
            _ = try await bench.submit(submission)
            _ = try await bench.submit(try await bench.submission("other"))
            let lease = try bench.lease("n1", 1)
            _ = try await lease.join()
            let delivery = try #require(
                try await lease.claim(ClaimRequest(most: 10)).deliveries.first { $0.workspace.name == "acme" })
            func changed(_ workspace: String, _ id: JobID?, _ envelope: [UInt8]) throws -> Delivery {
                Delivery(
                    workspace: try WorkspaceID(workspace), jobID: id, entry: delivery.entry, envelope: envelope,
                    crashes: 0,
                    failures: 0, isRecovered: false)
            }
            var damaged = delivery.envelope
            damaged[damaged.count - 1] ^= 1
            let stranger = JobID(milliseconds: 1, randomHigh: 1, randomLow: 1)
            for forged in [
                try changed("other", delivery.jobID, delivery.envelope),
                try changed("acme", stranger, delivery.envelope),
                try changed("acme", delivery.jobID, damaged), try changed("acme", delivery.jobID, []),
                try changed("acme", nil, delivery.envelope),
            ] {
                let error = await #expect(throws: JobQueueError.self) {
                    try await JobEnvelope.open(forged, keys: bench.keys)
                }
                #expect(error?.code == .unreadable)
            }
        }
    }

    @Test("an entry without the expected fields is delivered as poison instead of stopping the stream")
    func poison() async throws {
        try await Self.withBench { bench in
            _ = try await bench.submit(try await bench.submission())
            _ = try await bench.client.send(RedisCommand("XADD", "orc:{l0}:w:acme:s:2", "*", "nonsense", "1"))
            _ = try await bench.submit(try await bench.submission())
            let lease = try bench.lease("n1", 1)
            _ = try await lease.join()
            let claimed = try await lease.claim(ClaimRequest(most: 10)).deliveries
            #expect(claimed.count == 3)
            let bad = try #require(claimed.first { $0.jobID == nil })
            #expect(try await lease.finish([bench.completion(bad, .discarded)]) == [true])
            #expect(try await bench.client.send(RedisCommand("XLEN", "orc:{l0}:w:acme:dead")).integer == 1)
        }
    }

    @Test(
        "an old entry put back, or junk under an ended job's id, runs nothing and changes no record",
        arguments: [true, false])
    func entriesOfEndedJobs(isJunk: Bool) async throws {
        try await Self.withBench { bench in
            let submission = try await bench.submission()
            _ = try await bench.submit(submission)
            let lease = try bench.lease("n1", 1)
            _ = try await lease.join()
            let delivery = try #require(try await lease.claim(ClaimRequest(most: 1)).deliveries.first)
            #expect(try await lease.finish([bench.completion(delivery)]) == [true])
            let before = try await bench.queue.job(submission.job.id, in: delivery.workspace)

            let value = submission.job.id.uuid.bytes + (isJunk ? Array("junk".utf8) : delivery.envelope)
            _ = try await bench.client.send(.streamAdd("orc:{l0}:w:acme:s:2", field: "e", value: value))
            // Another job brings the workspace its turn.
            _ = try await bench.submit(try await bench.submission())
            let claim = try await lease.claim(ClaimRequest(most: 10))
            #expect(claim.refused == 1 && claim.deliveries.count == 1)
            #expect(try await bench.queue.job(submission.job.id, in: delivery.workspace) == before)
            #expect(try await bench.auditCount("outcome") == 1)
            #expect(try await bench.queue.statistics().refusedEntries == 1)
            #expect(try await bench.client.send(RedisCommand("XLEN", "orc:{l0}:w:acme:s:2")).integer == 1)
        }
    }

    @Test("of two entries of one job that are held at once the first outcome stands")
    func twoEntries() async throws {
        try await Self.withBench { bench in
            let submission = try await bench.submission()
            _ = try await bench.submit(submission)
            let (first, second) = (try bench.lease("n1", 1), try bench.lease("n2", 1))
            _ = try await first.join()
            _ = try await second.join()
            let original = try #require(try await first.claim(ClaimRequest(most: 1)).deliveries.first)
            let value = submission.job.id.uuid.bytes + original.envelope
            _ = try await bench.client.send(.streamAdd("orc:{l0}:w:acme:s:2", field: "e", value: value))
            _ = try await bench.submit(try await bench.submission())
            let copies = try await second.claim(ClaimRequest(most: 10)).deliveries
            let copy = try #require(copies.first { $0.jobID == submission.job.id })
            #expect(try await first.finish([bench.completion(original)]) == [true])
            #expect(try await second.finish([bench.completion(copy, .discarded)]) == [false])
            #expect(try await bench.queue.job(submission.job.id, in: original.workspace)?.state == .completed)
            #expect(try await bench.auditCount("outcome") == 1)
        }
    }

    @Test("what was sealed with a key that Redis lost is refused, and sealed anew with the key that it has")
    func lostKey() async throws {
        try await Self.withBench { bench in
            let stale = try await bench.submission()
            let key = try await bench.keys.currentKey(of: stale.job.workspace)
            let sealed = try stale.sealed(with: key)
            _ = try await bench.client.send(RedisCommand("FLUSHALL"))
            #expect(try await bench.queue.submit([sealed]) == [.staleKey])
            #expect(try await bench.client.send(RedisCommand("XLEN", "orc:{l0}:w:acme:s:2")).integer == 0)

            #expect(try await bench.submit(stale) == .accepted(stale.job.id))
            let node = WorkspaceKeyring(
                queue: bench.queue, master: try SealingKey(bytes: [UInt8](repeating: 9, count: 32)))
            let lease = try bench.lease("n1", 1)
            _ = try await lease.join()
            let delivery = try #require(try await lease.claim(ClaimRequest(most: 1)).deliveries.first)
            #expect(try await JobEnvelope.open(delivery, keys: node) == stale.job)
        }
    }

    @Test("a page of jobs is full although the records of younger ones have expired")
    func pagesPassExpiredRecords() async throws {
        try await Self.withBench { bench in
            let oldest = try await bench.submission()
            _ = try await bench.submit(oldest)
            let workspace = oldest.job.workspace
            for number in 0..<40 {
                let id = JobID(milliseconds: 1_600_000_000_000, randomHigh: 1, randomLow: UInt64(number))
                var push = RedisCommand("LPUSH", "orc:{l0}:w:acme:n")
                push.append(id.uuid.bytes)
                _ = try await bench.client.send(push)
            }
            let youngest = try await bench.submission()
            _ = try await bench.submit(youngest)
            let page = try await bench.queue.jobs(in: workspace, limit: 2, tag: nil)
            #expect(page.map(\.id) == [youngest.job.id, oldest.job.id])
        }
    }

    @Test("no param shows in what Redis keeps on disk")
    func nothingInTheClear() async throws {
        try await Self.withBench { bench in
            let marker = "MARKER-\(UUID().uuidString)"
            let submission = try await bench.submission(params: #"{"note":"\#(marker)"}"#)
            _ = try await bench.submit(submission)
            let lease = try bench.lease("n1", 1)
            _ = try await lease.join()
            let delivery = try #require(try await lease.claim(ClaimRequest(most: 1)).deliveries.first)
            let key = try await bench.keys.currentKey(of: delivery.workspace)
            let sealed = try JobEnvelope.seal(
                result: Array(marker.utf8), workspace: delivery.workspace, job: submission.job.id, with: key)
            _ = try await lease.finish([
                Completion(
                    delivery: delivery, end: .completed, action: "a", failures: 0, crashes: 0,
                    sealedResult: sealed)
            ])
            let record = try #require(try await bench.queue.job(submission.job.id, in: delivery.workspace))
            let opened = try await JobEnvelope.open(
                result: record.sealedResult, workspace: delivery.workspace, job: submission.job.id, keys: bench.keys)
            #expect(opened == Array(marker.utf8))
            _ = try await bench.client.send(RedisCommand("SAVE"))
            let files = try FileManager.default.subpathsOfDirectory(atPath: bench.redis.directory)
            #expect(files.contains { $0.hasSuffix("dump.rdb") } && files.contains { $0.contains("appendonlydir/") })
            for file in files {
                guard let data = FileManager.default.contents(atPath: "\(bench.redis.directory)/\(file)") else {
                    continue
                }
                #expect(data.range(of: Data(marker.utf8)) == nil, "the marker is in \(file)")
            }
        }
    }

    @Test("a Redis that was emptied is joined again, and its functions come back by themselves")
    func emptied() async throws {
        try await Self.withBench { bench in
            let lease = try bench.lease("n1", 1)
            _ = try await lease.join()
            _ = try await bench.client.send(RedisCommand("FLUSHALL"))
            _ = try await bench.client.send(RedisCommand("FUNCTION", "FLUSH"))
            let error = await #expect(throws: JobQueueError.self) {
                try await lease.claim(ClaimRequest(most: 1)).deliveries
            }
            #expect(error?.code == .unknownNode)
            _ = try await lease.join()
            _ = try await bench.submit(try await bench.submission("fresh"))
            #expect(try await lease.claim(ClaimRequest(most: 1)).deliveries.count == 1)
        }
    }

    @Test("workspaces take turns: a backlog of one does not hold up the other's first job")
    func turns() async throws {
        try await Self.withBench { bench in
            for _ in 0..<100 { _ = try await bench.submit(try await bench.submission("big")) }
            _ = try await bench.submit(try await bench.submission("small"))
            let lease = try bench.lease("n1", 1)
            _ = try await lease.join()
            let claimed = try await lease.claim(ClaimRequest(most: 64, quantum: 32)).deliveries
            #expect(claimed.contains { $0.workspace.name == "small" })
            #expect(claimed.count == 64)
            #expect(try await lease.claim(ClaimRequest(most: 200, quantum: 200)).deliveries.count == 37)
        }
    }

    @Test("functions that another build left in Redis under this version are not called")
    func otherBuild() async throws {
        try await Self.withBench { bench in
            // As a build whose functions differ by a word.
            let other = QueueFunctions(now: "return redis_ms() + 0")
            #expect(other.name("renew") != QueueFunctions.standard.name("renew"))
            try await other.library.load(into: bench.client)
            let lease = try bench.lease("n1", 1)
            _ = try await lease.join()
            #expect(try await lease.renew().held == 0)
            let names = try await bench.client.send(RedisCommand("FUNCTION", "LIST")).elements.count
            #expect(names == 2)
        }
    }
}
