import Cryptography
import Domain
import Foundation
import Redis
import TestSupport
import Testing

@testable import Jobs

/// Waiting, cancellation, priority and delay.
extension QueueTests {
    @Test("a call that waits for work returns for a job, and a call that waits for a job returns at its end")
    func waiting() async throws {
        try await Self.withBench { bench in
            do {
                let lease = try bench.lease("n1", 1)
                _ = try await lease.join()
                let start = try await lease.queue.position(after: nil)
                async let woken: QueuePosition = {
                    var position = start
                    _ = try await lease.queue.listen(from: &position, timeout: .seconds(20))
                    return position
                }()
                let submission = try await bench.submission()
                _ = try await bench.submit(submission)
                #expect(try await woken != start)
                let delivery = try #require(try await lease.claim(ClaimRequest(most: 1)).deliveries.first)
                async let end = bench.queue.waitForEnd(
                    of: submission.job.id, in: submission.job.workspace, timeout: .seconds(20))
                try await eventually("the waiter is stored") {
                    try await bench.client.send(RedisCommand("EXISTS", "orc:{l0}:waiters")).integer == 1
                }
                _ = try await lease.finish([bench.completion(delivery)])
                #expect(try await end == .completed)
            }
        }
    }

    @Test("the node of a cancelled job is notified, also of requests from before it listened")
    func cancelRunning() async throws {
        try await Self.withBench { bench in
            do {
                let lease = try bench.lease("n1", 1)
                _ = try await lease.join()
                let submission = try await bench.submission()
                _ = try await bench.submit(submission)
                let delivery = try #require(try await lease.claim(ClaimRequest(most: 1)).deliveries.first)
                let start = try await lease.queue.position(after: nil)
                let before = try await bench.queue.cancel(
                    submission.job.id, in: submission.job.workspace, request: Array("asked".utf8),
                    outcome: Array("ended".utf8))
                #expect(before == .running)
                // As after an outage: wake-ups from now on, requests from where the node had read them.
                var position = try await lease.queue.position(after: start)
                let cancelled = try await lease.queue.listen(from: &position, timeout: .seconds(20))
                #expect(cancelled == [submission.job.id])
                // In case the notification was lost, the next renewal repeats it.
                #expect(try await lease.renew().cancelled == [submission.job.id])
                #expect(try await lease.finish([bench.completion(delivery, .cancelled)]) == [true])
                #expect(try await lease.renew().cancelled.isEmpty)
                #expect(try await bench.client.send(RedisCommand("EXISTS", "orc:{l0}:cancel")).integer == 0)
                #expect(try await bench.auditCount("asked") == 1)
                #expect(try await bench.auditCount("ended") == 0)
                #expect(try await bench.auditCount("outcome") == 1)
            }
        }
    }

    @Test("a cancelled job that is rescued is dropped, and its outcome is written")
    func cancelAtTakeOver() async throws {
        try await Self.withBench(limits: QueueLimits(lease: .milliseconds(50))) { bench in
            let lease = try bench.lease("n1", 1)
            _ = try await lease.join()
            let submission = try await bench.submission()
            _ = try await bench.submit(submission)
            #expect(try await lease.claim(ClaimRequest(most: 1)).deliveries.count == 1)
            _ = try await bench.queue.cancel(
                submission.job.id, in: submission.job.workspace, request: Array("asked".utf8),
                outcome: Array("ended".utf8))
            // The node dies before it is notified.
            let other = try bench.lease("n2", 1)
            _ = try await other.join()
            try await eventually("its lease has expired") { try await other.queue.rescue("n1", most: 200) == 1 }
            #expect(try await other.claim(ClaimRequest(most: 10)).deliveries.isEmpty)
            #expect(
                try await bench.queue.job(submission.job.id, in: submission.job.workspace)?.state == .cancelled)
            #expect(try await bench.auditCount("ended") == 1)
            #expect(try await bench.client.send(RedisCommand("EXISTS", "orc:{l0}:cancel")).integer == 0)
            let groups = try await bench.client.send(RedisCommand("XPENDING", "orc:{l0}:w:acme:s:2", "workers"))
            #expect(groups.elements.first?.integer == 0)
        }
    }

    @Test("the most urgent level of a workspace is served first, and the other levels do not starve")
    func priorities() async throws {
        try await Self.withBench { bench in
            let lease = try bench.lease("n1", 1)
            _ = try await lease.join()
            for priority in [Priority.low, .normal, .high] {
                for _ in 0..<20 {
                    let submission = try await bench.submission()
                    _ = try await bench.submit(
                        Submission(job: submission.job, priority: priority, auditEvent: submission.auditEvent))
                }
            }
            // One at a time: almost always the urgent level, each other level at least once in nine turns.
            var order: [Character] = []
            for _ in 0..<60 {
                let entry = try #require(try await lease.claim(ClaimRequest(most: 1)).deliveries.first).entry
                order.append(try #require(String(entry.priority.rawValue).last))
            }
            #expect(order.prefix(8).allSatisfy { $0 == "1" })
            #expect(order.prefix(24).count { $0 == "1" } >= 18)
            #expect(order.prefix(24).contains("2") && order.prefix(30).contains("3"))
            #expect(order.suffix(15).allSatisfy { $0 == "3" })
        }
    }

    @Test("at the limit the oldest dead letter is evicted, but none that is unresolved")
    func deadLetterBound() async throws {
        try await Self.withBench { bench in
            let lease = try bench.lease("n1", 1)
            _ = try await lease.join()
            let key = "orc:{l0}:w:acme:dead"
            for number in 0..<10_000 {
                let code = number < 3 ? "u" : "d"
                _ = try await bench.client.send(
                    RedisCommand(
                        "XADD", key, "1-\(number + 1)", "k", code, "s", "2", "v", "0123456789abcdef", "x", "r"))
            }
            for expected in ["1-5", "1-6"] {
                _ = try await bench.submit(try await bench.submission())
                let delivery = try #require(try await lease.claim(ClaimRequest(most: 1)).deliveries.first)
                #expect(try await lease.finish([bench.completion(delivery, .discarded)]) == [true])
                #expect(try await bench.client.send(RedisCommand("XLEN", key)).integer == 10_000)
                let first = try await bench.client.send(RedisCommand("XRANGE", key, "-", "+", "COUNT", "4")).elements
                #expect(first.compactMap { $0.elements[0].string } == ["1-1", "1-2", "1-3", expected])
            }
        }
    }

    @Test("a malformed dead letter is unreadable, not absent, and does not hide the others in a list")
    func malformedDeadLetter() async throws {
        try await Self.withBench { bench in
            let lease = try bench.lease("n1", 1)
            _ = try await lease.join()
            let good = try await bench.submission()
            _ = try await bench.submit(good)
            let delivery = try #require(try await lease.claim(ClaimRequest(most: 1)).deliveries.first)
            #expect(try await lease.finish([bench.completion(delivery, .discarded)]) == [true])

            let damaged = try await bench.submission().job.id
            var add = RedisCommand("XADD", "orc:{l0}:w:acme:dead", "*", "k", "d", "s", "2", "x", "?", "v")
            add.append(damaged.uuid.bytes)
            let entry = try #require(try await bench.client.send(add).string)
            var index = RedisCommand("HSET", "orc:{l0}:w:acme:d")
            index.append(damaged.uuid.bytes)
            index.append(entry)
            _ = try await bench.client.send(index)

            let workspace = good.job.workspace
            let error = await #expect(throws: JobQueueError.self) {
                try await bench.queue.deadLetter(damaged, in: workspace)
            }
            #expect(error?.code == .unreadable)
            let absent = JobID(milliseconds: 1, randomHigh: 1, randomLow: 1)
            #expect(try await bench.queue.deadLetter(absent, in: workspace) == nil)
            #expect(try await bench.queue.deadLetters(in: workspace, limit: 9).map(\.job) == [good.job.id])
        }
    }

    @Test("a scheduled job waits by the clock of Redis, keeps its record meanwhile, and is available then")
    func scheduled() async throws {
        try await Self.withBench { bench in
            let lease = try bench.lease("n1", 1)
            _ = try await lease.join()
            let submission = try await bench.submission()
            let later = Submission(
                job: submission.job, start: .after(.milliseconds(200)), auditEvent: submission.auditEvent)
            #expect(try await bench.submit(later) == .accepted(submission.job.id))
            let workspace = submission.job.workspace
            #expect(try await bench.queue.job(submission.job.id, in: workspace)?.state == .scheduled)
            #expect(try await lease.claim(ClaimRequest(most: 1)).deliveries.isEmpty)
            try await eventually("it is available") { try await lease.queue.moveDue(most: 500) == 1 }
            #expect(try await bench.queue.job(submission.job.id, in: workspace)?.state == .available)
            #expect(try await lease.claim(ClaimRequest(most: 1)).deliveries.count == 1)
            // The record of a job that is due in ten days must not expire before.
            let far = try await bench.submission("far")
            _ = try await bench.submit(
                Submission(job: far.job, start: .after(.seconds(864_000)), auditEvent: far.auditEvent))
            let bucket = "orc:{l0}:w:far:r:\(far.job.id.milliseconds / 614_400)"
            let expiry = try await bench.client.send(RedisCommand("PTTL", bucket)).integer ?? 0
            #expect(expiry > 864_000_000)
            // The records of waiting, running and just ended jobs are kept from now on, however old their bucket.
            let old = try await bench.submission("old")
            _ = try await bench.submit(old)
            let key = "orc:{l0}:w:old:r:\(old.job.id.milliseconds / 614_400)"
            func lifetime() async throws -> Int { try await bench.client.send(RedisCommand("PTTL", key)).integer ?? 0 }
            let whole = try await lifetime()
            for isClaimed in [false, true] {
                _ = try await bench.client.send(RedisCommand("PEXPIRE", key, "9000"))
                _ = try await bench.client.send(RedisCommand("DEL", "orc:{l0}:kept"))
                _ = try await lease.queue.moveDue(most: 500)
                #expect(try await lifetime() > whole - 60_000, "claimed: \(isClaimed)")
                if !isClaimed { #expect(try await lease.claim(ClaimRequest(most: 1)).deliveries.count == 1) }
            }
            _ = try await bench.client.send(RedisCommand("PEXPIRE", key, "9000"))
            let delivery = try #require(try await lease.held().first { $0.jobID == old.job.id })
            _ = try await lease.finish([bench.completion(delivery)])
            #expect(try await lifetime() > whole - 60_000)
            // Cancelled before it is due, it never runs.
            let state = try await bench.queue.cancel(
                far.job.id, in: far.job.workspace, request: Array("asked".utf8), outcome: Array("ended".utf8))
            #expect(state == .scheduled)
            #expect(try await bench.queue.job(far.job.id, in: far.job.workspace)?.state == .cancelled)
        }
    }
}
