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
            let entries = try await self.client.auditEntries()
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

    @Test("a job goes from submission to completion, and only its record remains")
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

    @Test("a repeated request ID returns the first job, with other params it is refused; neither stores anything")
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
            // Request IDs of another workspace are independent.
            let other = try await bench.submission("other", request: request)
            #expect(try await bench.submit(other) == .accepted(other.job.id))
            #expect(try await bench.client.send(RedisCommand("XLEN", "orc:{l0}:w:acme:s:2")).integer == 1)
        }
    }

    @Test("a request ID is remembered for its time, by the clock of Redis, and expires after it")
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
            try await eventually("no request ID is stored") {
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

    @Test("a full stream refuses a job, and stores neither job nor request ID")
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

    @Test("a newer incarnation receives what the older held, and every call of the older is fenced")
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

    @Test("a dead node's jobs go to another node when its lease has expired, not before")
    func rescue() async throws {
        try await Self.withBench { bench in
            _ = try await bench.submit(try await bench.submission())
            let dead = try bench.lease("n1", 1, owner: "machine-1")
            _ = try await dead.join()
            let lost = try #require(try await dead.claim(ClaimRequest(most: 1)).deliveries.first)
            let alive = try bench.lease("n2", 1, owner: "machine-2")
            _ = try await alive.join()
            #expect(try await alive.queue.rescue("n1", most: 200) == 0)
            // As if the lease had expired: its end is set to the past.
            _ = try await bench.client.send(RedisCommand("ZADD", "orc:{l0}:nodes", "1", "n1"))
            #expect(try await alive.renew().dead == ["n1"])
            #expect(try await alive.queue.rescue("n1", most: 200) == 1)
            let taken = try #require(try await alive.claim(ClaimRequest(most: 1)).deliveries.first)
            #expect(taken.crashes == 1)
            #expect(try await dead.finish([bench.completion(lost)]) == [false])
            #expect(try await alive.finish([bench.completion(taken)]) == [true])
        }
    }

    @Test("another machine cannot take the name of a live node")
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
        "a released job is available without a counted attempt, a retried one when it is due, a discarded one is a dead letter"
    )
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

    @Test("function libraries of other builds are deleted a day after their last use, and never the own one")
    func unusedLibraries() async throws {
        try await Self.withBench { bench in
            let queue = RedisStreamJobQueue(client: bench.client, limits: QueueLimits())
            _ = try await bench.submit(try await bench.submission())
            let other = RedisFunctionLibrary(
                name: "orchestra_4_old", source: "redis.register_function('orc4_old_x', function() return 1 end)")
            try await other.load(into: bench.client)
            #expect(try await queue.deleteUnusedLibraries() == [])
            let now = try await bench.queue.time()
            for (age, deleted) in [(UInt64(80_000_000), [String]()), (90_000_000, ["orchestra_4_old"])] {
                _ = try await bench.client.send(
                    RedisCommand("HSET", "orc:{l0}:libraries", "orchestra_4_old", String(now - age)))
                #expect(try await queue.deleteUnusedLibraries() == deleted)
            }
            // The own functions are still there.
            let reply = try await bench.client.send(.functionList(libraries: "orchestra_*"))
            #expect(reply.elements.count == 1)
            _ = try await bench.submit(try await bench.submission())
        }
    }

    @Test("a page of jobs is full although the records of newer jobs have expired")
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

    @Test("the files of Redis contain no params in plain text")
    func nothingInTheClear() async throws {
        try await Self.withBench { bench in
            let marker = "MARKER-\(UUID().uuidString)"
            let submission = try await bench.submission(params: #"{"note":"\#(marker)"}"#)
            _ = try await bench.submit(submission)
            let lease = try bench.lease("n1", 1)
            _ = try await lease.join()
            let delivery = try #require(try await lease.claim(ClaimRequest(most: 1)).deliveries.first)
            let key = try await bench.keys.currentKey(of: delivery.workspace)
            let progress = JobProgress(percent: 50, text: marker)
            let isNoted = try await lease.noteProgress(
                JobEnvelope.seal(progress, of: submission.job.id, in: delivery.workspace, with: key),
                of: submission.job.id)
            #expect(isNoted)
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

    @Test("a reader of Redis cannot confirm a guess of a request, its params or its unique key by a digest")
    func keyedDigests() async throws {
        try await Self.withBench { bench in
            var submission = try await bench.submission(params: #"{"command":"id"}"#)
            submission.uniqueKey = "nightly"
            _ = try await bench.submit(submission)
            var stored: [[UInt8]] = []
            for pattern in ["orc:{l0}:w:*:i:*", "orc:{l0}:w:*:u", "orc:{l0}:unique"] {
                for key in try await bench.client.send(RedisCommand("KEYS", pattern)).elements.compactMap(\.string) {
                    stored += try await bench.client.send(RedisCommand("HGETALL", key)).elements.map { Array($0.bytes) }
                }
            }
            #expect(stored.count == 6)
            let guesses = [
                submission.job.requestID.uuid.bytes, Array("nightly".utf8),
                Array("queue.noop".utf8) + [0] + submission.job.params,
            ]
            for guess in guesses {
                let digest = try Digests.sha256(guess).prefix(12)
                #expect(!stored.contains { $0.contains(digest) })
            }
            // The same request is recognized by another process with the master key, whatever it has cached.
            let keys = WorkspaceKeyring(
                queue: bench.queue, master: try SealingKey(bytes: [UInt8](repeating: 9, count: 32)))
            let again = try await bench.queue.submit([submission], keys: keys)
            #expect(again == [.duplicate(submission.job.id, state: .available)])
        }
    }

    @Test("a node joins an emptied Redis again, and the functions are loaded again automatically")
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

    @Test("workspaces take turns: the backlog of one does not delay the first job of another")
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

    @Test("functions that another build loaded under this version are not called")
    func otherBuild() async throws {
        try await Self.withBench { bench in
            // As a build whose functions differ slightly.
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
