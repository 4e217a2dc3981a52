import Cryptography
import Domain
import Foundation
import Redis
import TestSupport
import Testing

@testable import Jobs

/// Forged, damaged and repeated entries.
extension QueueTests {
    @Test("an entry that was moved to another workspace or ID, or damaged, cannot be opened")
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

    @Test("what a node holds is looked up in tables, not searched for in lists, from its first job on")
    func encodings() async throws {
        try await Self.withBench { bench in
            let lease = try bench.lease("n1", 1)
            _ = try await lease.join()
            _ = try await bench.submit(try await bench.submission())
            _ = try await lease.claim(ClaimRequest(most: 10))
            for key in ["run:n1", "holders"] {
                let encoding = try await bench.client.send(RedisCommand("OBJECT", "ENCODING", "orc:{l0}:" + key)).string
                #expect(encoding == "hashtable", "\(key)")
            }
        }
    }

    @Test("an entry without the expected fields is delivered without a job ID and does not block the stream")
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
        "an old entry added again, or junk under an ended job's ID, starts nothing and changes no record",
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
            // Another job puts the workspace into the ready queue.
            _ = try await bench.submit(try await bench.submission())
            let claim = try await lease.claim(ClaimRequest(most: 10))
            #expect(claim.refused == 1 && claim.deliveries.count == 1)
            #expect(try await bench.queue.job(submission.job.id, in: delivery.workspace) == before)
            #expect(try await bench.auditCount("outcome") == 1)
            #expect(try await bench.queue.statistics().refusedEntries == 1)
            #expect(try await bench.client.send(RedisCommand("XLEN", "orc:{l0}:w:acme:s:2")).integer == 1)
        }
    }

    /// Removes the records of a workspace, as when they have expired.
    private static func expire(_ jobs: [JobID], of workspace: String = "acme", _ client: RedisClient) async throws {
        for job in jobs {
            let bucket = "orc:{l0}:w:\(workspace):r:\(job.milliseconds / 614_400)"
            _ = try await client.send(RedisCommand("DEL", bucket))
        }
    }

    @Test("an old entry added again after its job's record has expired starts nothing")
    func entriesOfExpiredJobs() async throws {
        try await QueueBench.with(.redis) { bench in
            let client = try #require(bench.client)
            let lease = try bench.lease("n1")
            _ = try await lease.join()
            _ = try await bench.queue.moveDue(most: 1)
            let job = try await bench.accept(bench.submission())
            let delivery = try #require(try await lease.claim(ClaimRequest(most: 1)).deliveries.first)
            #expect(try await lease.finish([bench.completion(delivery)]) == [true])
            for _ in 0..<2 {
                try await bench.advance(.seconds(13 * 3600))
                _ = try await bench.queue.moveDue(most: 1)
            }
            try await Self.expire([job], client)
            let value = job.uuid.bytes + delivery.envelope
            _ = try await client.send(.streamAdd("orc:{l0}:w:acme:s:2", field: "e", value: value))
            let other = try await bench.accept(bench.submission())
            let claim = try await lease.claim(ClaimRequest(most: 10))
            #expect(claim.refused == 1 && claim.deliveries.map(\.jobID) == [other])
            #expect(try await bench.queue.statistics().refusedEntries == 1)
            #expect(try await bench.state(job) == nil)
        }
    }

    @Test(
        "jobs that waited while all nodes were away run, though their records have expired", arguments: [true, false])
    func expiredWhileWaiting(isClaimedFirst: Bool) async throws {
        try await QueueBench.with(.redis) { bench in
            let client = try #require(bench.client)
            _ = try await bench.queue.moveDue(most: 1)
            try await bench.advance(.seconds(1))
            let waiting = try await bench.accept(bench.submission())
            let delayed = try await bench.accept(bench.submission(start: .after(.seconds(60))))
            try await bench.advance(.seconds(3 * 86_400))
            try await Self.expire([waiting, delayed], client)
            let lease = try bench.lease("n1")
            _ = try await lease.join()
            var claimed: [JobID?] = []
            if isClaimedFirst { claimed += try await lease.claim(ClaimRequest(most: 10)).deliveries.map(\.jobID) }
            #expect(try await bench.queue.moveDue(most: 10) == 1)
            claimed += try await lease.claim(ClaimRequest(most: 10)).deliveries.map(\.jobID)
            #expect(claimed == [waiting, delayed])
            #expect(try await bench.queue.statistics().refusedEntries == 0)
        }
    }

    @Test("the record of a job that waits again behind younger ones is kept, until it waits no more")
    func keptBehindYounger() async throws {
        try await QueueBench.with(.redis) { bench in
            let client = try #require(bench.client)
            let old = try await bench.accept(bench.submission(start: .after(.seconds(3600))))
            try await bench.advance(.seconds(3600))
            try await bench.accept(bench.submission())
            #expect(try await bench.queue.moveDue(most: 1) == 1)
            let number = "\(old.milliseconds / 614_400)"
            let bucket = "orc:{l0}:w:acme:r:" + number
            func lifetime() async throws -> Int {
                _ = try await client.send(RedisCommand("PEXPIRE", bucket, "9000"))
                try await bench.advance(.seconds(300))
                _ = try await bench.queue.moveDue(most: 1)
                return try await client.send(RedisCommand("PTTL", bucket)).integer ?? 0
            }
            #expect(try await lifetime() > 86_400_000)
            // What waits now came later than that job.
            _ = try await client.send(RedisCommand("ZADD", "orc:{l0}:w:acme:b", "XX", "1", number))
            #expect(try await lifetime() <= 9000)
        }
    }

    @Test("a member of the delayed jobs that is none adds no entry to a workspace", arguments: [true, false])
    func forgedDelayed(isOfWaitingJob: Bool) async throws {
        try await QueueBench.with(.redis) { bench in
            let client = try #require(bench.client)
            _ = try await bench.queue.moveDue(most: 10)
            let job = isOfWaitingJob ? try await bench.accept(bench.submission("other")) : try bench.submission().job.id
            var member = RedisCommand("ZADD", "orc:{l0}:due", "0")
            member.append(Array("other:s:1|".utf8) + job.uuid.bytes + Array("junk".utf8))
            _ = try await client.send(member)
            #expect(try await bench.queue.moveDue(most: 10) == 1)
            #expect(try await client.send(RedisCommand("EXISTS", "orc:{l0}:w:other:s:1", "orc:{l0}:due")).integer == 0)
            let levels = try await client.send(RedisCommand("HGET", "orc:{l0}:levels", "other")).string
            #expect(levels == (isOfWaitingJob ? "2" : nil))
            #expect(try await bench.queue.statistics().refusedEntries == 1)
            #expect(try await bench.state(job, in: "other") == (isOfWaitingJob ? .available : nil))
        }
    }

    @Test("a delayed job that was cancelled leaves nothing when its time comes", arguments: Implementation.allCases)
    func cancelledDelayed(_ implementation: Implementation) async throws {
        try await QueueBench.with(implementation) { bench in
            let job = try await bench.accept(bench.submission(start: .after(.seconds(60))))
            _ = try await bench.queue.cancel(job, in: WorkspaceID("acme"), request: [], outcome: [])
            try await bench.advance(.seconds(61))
            #expect(try await bench.queue.moveDue(most: 10) == 1)
            let lease = try bench.lease("n1")
            _ = try await lease.join()
            let claim = try await lease.claim(ClaimRequest(most: 10))
            #expect(claim.deliveries.isEmpty && claim.dropped == 0 && claim.refused == 0)
            #expect(try await bench.state(job) == .cancelled)
            let statistics = try await bench.queue.statistics()
            #expect(statistics.waiting == 0 && statistics.delayed == 0 && statistics.refusedEntries == 0)
            if let client = bench.client {
                let left = try await client.send(RedisCommand("EXISTS", "orc:{l0}:cancel", "orc:{l0}:delayed")).integer
                #expect(left == 0)
            }
        }
    }

    @Test("a second entry of a job that runs is refused, also on another node and in the same claim")
    func twoEntries() async throws {
        try await Self.withBench { bench in
            let submission = try await bench.submission()
            _ = try await bench.submit(submission)
            let (first, second) = (try bench.lease("n1", 1), try bench.lease("n2", 1))
            _ = try await first.join()
            _ = try await second.join()
            let original = try #require(try await first.claim(ClaimRequest(most: 1)).deliveries.first)
            let value = submission.job.id.uuid.bytes + original.envelope
            let other = try await bench.submission()
            _ = try await bench.submit(other)
            for node in [first, second] {
                _ = try await bench.client.send(.streamAdd("orc:{l0}:w:acme:s:2", field: "e", value: value))
                _ = try await bench.client.send(.streamAdd("orc:{l0}:w:acme:s:1", field: "e", value: value))
                _ = try await bench.client.send(RedisCommand("HSET", "orc:{l0}:levels", "acme", "12"))
                _ = try await bench.client.send(RedisCommand("ZADD", "orc:{l0}:ready", "1", "acme"))
                let claim = try await node.claim(ClaimRequest(most: 10))
                #expect(claim.deliveries.allSatisfy { $0.jobID == other.job.id })
                #expect(claim.refused == 2)
            }
            #expect(try await first.finish([bench.completion(original)]) == [true])
            #expect(try await bench.queue.job(submission.job.id, in: original.workspace)?.state == .completed)
            #expect(try await bench.auditCount("outcome") == 1)
        }
    }

    @Test("a job sealed with a key that Redis lost is refused, and sealed again with the stored key")
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
}
