import Agents
import Domain
import Jobs
import JobsModel
import TestSupport
import Testing

@testable import Worker

@Suite("JobPipeline", .timeLimit(.minutes(5)))
struct JobPipelineTests {
    private static let away = JobQueueError(code: .unavailable, message: "Redis is away")

    /// The same delivery with another history or envelope.
    private func altered(
        _ delivery: Delivery, envelope: [UInt8]? = nil, crashes: Int = 0, failures: Int = 0, isRecovered: Bool = false
    ) -> Delivery {
        Delivery(
            workspace: delivery.workspace, jobID: delivery.jobID, entry: delivery.entry,
            envelope: envelope ?? delivery.envelope, crashes: crashes, failures: failures, isRecovered: isRecovered)
    }

    private func text(_ value: JSONValue?, _ name: String) -> String? { value?[name]?.string }

    // MARK: - Decisions

    @Test("an allowed job runs and completes, with one row in the audit trail")
    func completed() async throws {
        try await WorkerBench.with { bench in
            let delivery = try await bench.deliver(params: #"{"note":"x"}"#)
            await bench.process(delivery)
            let record = try await bench.record(delivery)
            #expect(record.state == .completed && record.node == "n1" && record.action == "queue.noop")
            let rows = try await bench.audit()
            #expect(rows.count == 1)
            #expect(self.text(rows.first, "kind") == "job.outcome" && self.text(rows.first, "status") == "completed")
            #expect(self.text(rows.first, "rule") == "allow-list" && self.text(rows.first, "actor") == "key:1")
        }
    }

    @Test("the result is sealed under the workspace's key, and opens to what the action returned")
    func sealedResult() async throws {
        try await WorkerBench.with { bench in
            let delivery = try await bench.deliver()
            await bench.process(delivery)
            let record = try await bench.record(delivery)
            let opened = try await JobEnvelope.open(
                result: record.sealedResult, workspace: delivery.workspace, job: record.id, keys: bench.keys)
            #expect(opened == Array("{}".utf8) && record.sealedResult != opened)
        }
    }

    @Test("the audit row digests the params and never holds them")
    func paramsDigest() async throws {
        try await WorkerBench.with { bench in
            await bench.process(try await bench.deliver(params: #"{"note":"marker-in-params"}"#))
            let row = try #require(try await bench.audit().first)
            #expect(self.text(row, "params_hmac")?.count == 64)
            #expect(!row.text.contains("marker-in-params"))
        }
    }

    @Test("a job's tags are kept with its outcome")
    func tags() async throws {
        try await WorkerBench.with { bench in
            try await bench.submit(tags: ["red", "blue"])
            let delivery = try #require(try await bench.claim().first)
            await bench.process(delivery)
            #expect(try await bench.record(delivery).tags == ["red", "blue"])
        }
    }

    @Test(
        "what the policy forbids by now is discarded by its rule, whatever the submitter was allowed",
        arguments: [
            ("not.allowed", "{}", "allow-list"), ("no.file", "{}", "actions"),
            ("queue.noop", #"{"note":1}"#, "params"), ("queue.noop", "[", "params"),
        ])
    func denied(action: String, params: String, rule: String) async throws {
        try await WorkerBench.with { bench in
            let delivery = try await bench.deliver(action, params: params)
            await bench.process(delivery)
            #expect(try await bench.state(delivery) == .discarded)
            #expect(try await self.text(bench.audit().first, "rule") == rule)
            #expect(await bench.queue.deadLetters(in: delivery.workspace, limit: 9).count == 1)
        }
    }

    @Test("a refused job is never tried again, whatever attempts its action has")
    func deniedOnce() async throws {
        try await WorkerBench.with { bench in
            let delivery = try await bench.deliver("site.build", params: #"{"other":1}"#)
            await bench.process(delivery)
            #expect(try await bench.state(delivery) == .discarded)
        }
    }

    @Test("a job whose deadline has come is refused; one millisecond earlier it runs", arguments: [0, 1])
    func deadline(milliseconds: UInt64) async throws {
        try await WorkerBench.with { bench in
            try await bench.submit(deadline: WorkerBench.start + 1000 + milliseconds)
            let delivery = try #require(try await bench.claim().first)
            bench.clock.advance(by: .seconds(1))
            await bench.process(delivery)
            #expect(try await bench.state(delivery) == (milliseconds == 0 ? .discarded : .completed))
            #expect(try await self.text(bench.audit().first, "rule") == (milliseconds == 0 ? "deadline" : "allow-list"))
        }
    }

    @Test("the deadline cuts the action's time limit")
    func deadlineCutsTimeout() async throws {
        try await WorkerBench.with { bench in
            try await bench.submit("site.build", deadline: WorkerBench.start + 5000)
            let delivery = try #require(try await bench.claim().first)
            try await bench.interrupt(delivery) { bench.clock.advance(by: .seconds(5)) }
            #expect(try await bench.record(delivery).reason == "the time limit was reached")
        }
    }

    // MARK: - Entries that cannot be opened

    @Test("a damaged entry is a dead letter, and says so")
    func damaged() async throws {
        try await WorkerBench.with { bench in
            let delivery = try await bench.deliver()
            var envelope = delivery.envelope
            envelope[envelope.count - 1] ^= 1
            await bench.process(self.altered(delivery, envelope: envelope))
            #expect(try await bench.state(delivery) == .discarded)
            let row = try await bench.audit().first
            #expect(
                self.text(row, "rule") == "entry" && self.text(row, "actor") == "" && self.text(row, "action") == "")
        }
    }

    @Test(
        "an entry without bytes, or of an unknown version, is a dead letter",
        arguments: [
            [UInt8](), [9, 0, 0, 0, 1, 0], Array(repeating: 1, count: 5),
        ])
    func unknownVersion(envelope: [UInt8]) async throws {
        try await WorkerBench.with { bench in
            let delivery = try await bench.deliver()
            await bench.process(self.altered(delivery, envelope: envelope))
            #expect(try await bench.state(delivery) == .discarded)
        }
    }

    @Test("an entry of another job is a dead letter: it was moved")
    func moved() async throws {
        try await WorkerBench.with { bench in
            try await bench.submit()
            try await bench.submit()
            let deliveries = try await bench.claim()
            await bench.process(self.altered(deliveries[0], envelope: deliveries[1].envelope))
            #expect(try await bench.state(deliveries[0]) == .discarded)
        }
    }

    @Test("an entry without a job id frees its slot")
    func withoutID() async throws {
        try await WorkerBench.with { bench in
            let delivery = try await bench.deliver()
            await bench.process(
                Delivery(
                    workspace: delivery.workspace, jobID: nil, entry: delivery.entry, envelope: [], crashes: 0,
                    failures: 0, isRecovered: false))
            #expect(await bench.registry.count == 0)
        }
    }

    // MARK: - Keys that cannot be looked up

    @Test("an outage of the key look-up postpones the job by half a second, uncounted and without an audit row")
    func postponed() async throws {
        try await WorkerBench.with { bench in
            let delivery = try await bench.deliver()
            bench.keys.forget()
            await bench.queue.fail(.wrappedKey, with: Self.away)
            await bench.process(delivery)
            let record = try await bench.record(delivery)
            #expect(
                record.state == .retryable && record.failures == 0 && record.reason == "the job could not be opened")
            #expect(try await bench.audit().isEmpty)
            bench.clock.advance(by: .milliseconds(499))
            #expect(try await bench.queue.moveDue(most: 9) == 0)
            bench.clock.advance(by: .milliseconds(1))
            #expect(try await bench.queue.moveDue(most: 9) == 1)
            await bench.process(try #require(try await bench.claim().first))
            #expect(try await bench.state(delivery) == .completed)
        }
    }

    @Test("the pause grows with the outage to at most ten seconds, and is short again after it")
    func growingPause() async throws {
        try await WorkerBench.with { bench in
            var delivery = try await bench.deliver()
            for pause in [500, 500, 1000, 2000, 4000, 8000, 10_000, 10_000] {
                bench.keys.forget()
                await bench.queue.fail(.wrappedKey, with: Self.away)
                await bench.process(delivery)
                bench.clock.advance(by: .milliseconds(pause - 1))
                #expect(try await bench.queue.moveDue(most: 9) == 0)
                bench.clock.advance(by: .milliseconds(1))
                #expect(try await bench.queue.moveDue(most: 9) == 1)
                delivery = try #require(try await bench.claim().first)
            }
            await bench.process(delivery)
            #expect(try await bench.state(delivery) == .completed)
            let next = try await bench.deliver()
            bench.keys.forget()
            await bench.queue.fail(.wrappedKey, with: Self.away)
            await bench.process(next)
            bench.clock.advance(by: .milliseconds(500))
            #expect(try await bench.queue.moveDue(most: 9) == 1)
        }
    }

    @Test("a postponement is logged once a minute")
    func postponementLog() async throws {
        try await WorkerBench.with { bench in
            func postpone() async throws {
                let delivery = try await bench.deliver()
                bench.keys.forget()
                await bench.queue.fail(.wrappedKey, with: Self.away)
                await bench.process(delivery)
            }
            for _ in 0..<3 { try await postpone() }
            #expect(bench.log.count("a job cannot be opened; it is retried later") == 1)
            bench.clock.advance(by: .milliseconds(60_001))
            try await postpone()
            #expect(bench.log.count("a job cannot be opened; it is retried later") == 2)
        }
    }

    @Test("a postponement counts no audit row in the metrics")
    func postponementMetrics() async throws {
        try await WorkerBench.with { bench in
            let delivery = try await bench.deliver()
            bench.keys.forget()
            await bench.queue.fail(.wrappedKey, with: Self.away)
            await bench.process(delivery)
            #expect(bench.metric("orchestra_audit_rows_total") == "0")
        }
    }

    @Test("a drain that cancels a key look-up releases the job at once")
    func drainedLookup() async throws {
        try await WorkerBench.with { bench in
            let delivery = try await bench.deliver()
            bench.keys.forget()
            await bench.queue.fail(.wrappedKey, with: CancellationError())
            await bench.process(delivery)
            #expect(try await bench.state(delivery) == .available)
            #expect(bench.log.count("a job cannot be opened; it is retried later") == 0)
            #expect(await bench.queue.statistics().delayed == 0)
        }
    }

    // MARK: - Metrics

    @Test("an outcome counts its action, its state, an audit row and its wait")
    func metrics() async throws {
        try await WorkerBench.with { bench in
            let delivery = try await bench.deliver()
            bench.clock.advance(by: .seconds(2))
            await bench.process(delivery)
            #expect(bench.metric("orchestra_jobs_total", #"{action="queue.noop",outcome="completed"}"#) == "1")
            #expect(bench.metric("orchestra_audit_rows_total") == "1")
            #expect(bench.metric("orchestra_job_wait_seconds_sum") == "2")
        }
    }

    @Test("a dead letter counts its reason")
    func deadLetterMetrics() async throws {
        try await WorkerBench.with { bench in
            await bench.process(try await bench.deliver("not.allowed"))
            let delivery = try await bench.deliver("site.once")
            try bench.failLaunches(of: delivery)
            await bench.process(delivery)
            #expect(bench.metric("orchestra_dead_letters_total", #"{reason="refused"}"#) == "1")
            #expect(bench.metric("orchestra_dead_letters_total", #"{reason="failed"}"#) == "1")
            #expect(bench.metric("orchestra_dead_letters_total", #"{reason="unresolved"}"#) == "0")
        }
    }

    @Test("an outcome that was not written counts nothing, and is logged")
    func notWritten() async throws {
        try await WorkerBench.with { bench in
            let delivery = try await bench.deliver()
            _ = try await bench.queue.join(as: WorkerBench.identity("n1", 2))
            await bench.process(delivery)
            #expect(bench.metric("orchestra_audit_rows_total") == "0")
            #expect(bench.log.count("an outcome was not written") == 1)
            #expect(await bench.registry.count == 0)
        }
    }
}
