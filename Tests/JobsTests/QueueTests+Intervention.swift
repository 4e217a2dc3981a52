import Cryptography
import Domain
import Foundation
import Redis
import TestSupport
import Testing

@testable import Jobs

/// Waiting, cancelling, urgency and delay.
extension QueueTests {
    @Test("who waits for work hears of a job, and who waits for a job hears of its end")
    func waiting() async throws {
        try await Self.withBench { bench in
            do {
                let lease = try bench.lease("n1", 1)
                _ = try await lease.join()
                let start = try await lease.queue.position(after: nil)
                async let rung: QueuePosition = {
                    var position = start
                    _ = try await lease.queue.listen(from: &position, timeout: .seconds(20))
                    return position
                }()
                let submission = try await bench.submission()
                _ = try await bench.submit(submission)
                #expect(try await rung != start)
                let delivery = try #require(try await lease.claim(ClaimRequest(most: 1)).deliveries.first)
                async let end = bench.queue.waitForEnd(
                    of: submission.job.id, in: submission.job.workspace, timeout: .seconds(20))
                try await eventually("the waiter is noted") {
                    try await bench.client.send(RedisCommand("EXISTS", "orc:{l0}:waiters")).integer == 1
                }
                _ = try await lease.finish([bench.completion(delivery)])
                #expect(try await end == .completed)
            }
        }
    }

    @Test("a cancelled job is told to its node, and a position keeps what was said while nobody listened")
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
                // As after an outage: the bell anew, the wishes from where it had heard them.
                var position = try await lease.queue.position(after: start)
                let heard = try await lease.queue.listen(from: &position, timeout: .seconds(20))
                #expect(heard == [submission.job.id])
                // Should it not have heard, it hears at its next renewal.
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

    @Test("a cancelled job that comes back by a retry or a take-over is dropped with its outcome")
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
            // The node dies without having heard of it.
            let other = try bench.lease("n2", 1)
            _ = try await other.join()
            try await eventually("its lease is over") { try await other.queue.rescue("n1", most: 200) == 1 }
            #expect(try await other.claim(ClaimRequest(most: 10)).deliveries.isEmpty)
            #expect(
                try await bench.queue.job(submission.job.id, in: submission.job.workspace)?.state == .cancelled)
            #expect(try await bench.auditCount("ended") == 1)
            #expect(try await bench.client.send(RedisCommand("EXISTS", "orc:{l0}:cancel")).integer == 0)
            let groups = try await bench.client.send(RedisCommand("XPENDING", "orc:{l0}:w:acme:s:2", "workers"))
            #expect(groups.elements.first?.integer == 0)
        }
    }

    @Test("a workspace's urgent stream is served first, and the other one is not forgotten")
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
            // One at a time: the urgent stream all but always, the others once in nine turns each at the least.
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

    @Test("of too many dead letters the oldest goes, but none that waits for a person")
    func deadLetterBound() async throws {
        try await Self.withBench { bench in
            let lease = try bench.lease("n1", 1)
            _ = try await lease.join()
            let key = "orc:{l0}:w:acme:dead"
            for number in 0..<10_000 {
                let letter = number < 3 ? "u" : "d"
                _ = try await bench.client.send(
                    RedisCommand(
                        "XADD", key, "1-\(number + 1)", "k", letter, "s", "2", "v", "0123456789abcdef", "x", "r"))
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

    @Test("a job waits for its time by Redis' clock, keeps its record for it, and is available then")
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
            try await eventually("it is moved") { try await lease.queue.moveDue(most: 500) == 1 }
            #expect(try await bench.queue.job(submission.job.id, in: workspace)?.state == .available)
            #expect(try await lease.claim(ClaimRequest(most: 1)).deliveries.count == 1)
            // Ten days ahead its bucket must not pass away before it.
            let far = try await bench.submission("far")
            _ = try await bench.submit(
                Submission(job: far.job, start: .after(.seconds(864_000)), auditEvent: far.auditEvent))
            let bucket = "orc:{l0}:w:far:r:\(far.job.id.milliseconds / 614_400)"
            let expiry = try await bench.client.send(RedisCommand("PTTL", bucket)).integer ?? 0
            #expect(expiry > 864_000_000)
            // What waits, runs or has just ended is kept from now on, however old its bucket.
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
            // Cancelled in time it never runs.
            let state = try await bench.queue.cancel(
                far.job.id, in: far.job.workspace, request: Array("asked".utf8), outcome: Array("ended".utf8))
            #expect(state == .scheduled)
            #expect(try await bench.queue.job(far.job.id, in: far.job.workspace)?.state == .cancelled)
        }
    }
}
