import Audit
import Domain
import Jobs
import JobsModel
import TestSupport
import Testing

@testable import Worker

/// Requests on their way into the queue.
@Suite("JobRequest", .timeLimit(.minutes(1)))
struct JobRequestTests {
    private func request(
        _ action: String = "queue.noop", number: UInt64 = 1, in workspace: String = "acme", params: String = "{}",
        unique: String? = nil
    ) throws -> JobRequest {
        JobRequest(
            workspace: try WorkspaceID(workspace), action: try ActionName(action),
            requestID: RequestID(uuid: UUIDBytes(high: 9, low: number)), params: Array(params.utf8), actor: "key:1",
            uniqueKey: unique)
    }

    private func submit(_ requests: [JobRequest], to bench: WorkerBench) async throws -> [JobRequest.Answer] {
        try await JobRequest.submit(
            requests, to: bench.queue, keys: bench.keys, digester: ParamsDigester(key: [1]), policy: bench.policy)
    }

    private func submit(_ request: JobRequest, to bench: WorkerBench) async throws -> JobRequest.Answer {
        try #require(try await self.submit([request], to: bench).first)
    }

    /// The id of an accepted request.
    private func accepted(_ answer: JobRequest.Answer) throws -> JobID {
        guard case .accepted(let id, isDuplicate: false, state: nil) = answer else {
            throw TestFailure("expected an accepted request, not \(answer)")
        }
        return id
    }

    private func refusal(_ answer: JobRequest.Answer) -> JobRequest.Refusal.Kind? {
        if case .refused(let refusal) = answer { refusal.kind } else { nil }
    }

    @Test("an allowed request is one job and one row in the audit trail")
    func accepted() async throws {
        try await WorkerBench.with { bench in
            let id = try self.accepted(try await self.submit(try self.request(), to: bench))
            #expect(try await bench.queue.job(id, in: WorkspaceID("acme"))?.state == .available)
            let rows = try await bench.audit()
            #expect(rows.count == 1 && rows[0]["kind"]?.string == "job.submitted")
            #expect(rows[0]["job_id"]?.string == id.description && rows[0]["status"]?.string == "accepted")
        }
    }

    @Test("the job's id carries the queue's time")
    func time() async throws {
        try await WorkerBench.with { bench in
            bench.clock.advance(by: .seconds(90))
            let id = try self.accepted(try await self.submit(try self.request(), to: bench))
            #expect(id.milliseconds == WorkerBench.start + 90_000)
        }
    }

    @Test(
        "a denied request stores no job and leaves a row with its rule",
        arguments: [
            ("not.allowed", "{}", JobRequest.Refusal.Kind.notAllowed, "allow-list"),
            ("no.file", "{}", .notAllowed, "actions"), ("queue.noop", "[]", .unusable, "params"),
        ])
    func denied(action: String, params: String, kind: JobRequest.Refusal.Kind, rule: String) async throws {
        try await WorkerBench.with { bench in
            let answer = try await self.submit(try self.request(action, params: params), to: bench)
            #expect(self.refusal(answer) == kind && !answer.isAccepted)
            let rows = try await bench.audit()
            #expect(rows.count == 1 && rows[0]["kind"]?.string == "job.denied" && rows[0]["rule"]?.string == rule)
            #expect(await bench.queue.statistics().waiting == 0)
        }
    }

    @Test("requests of one batch are answered in their order, denied ones among them")
    func batch() async throws {
        try await WorkerBench.with { bench in
            let answers = try await self.submit(
                [
                    try self.request(number: 1), try self.request("not.allowed", number: 2),
                    try self.request(number: 3), try self.request("queue.noop", number: 4, params: "x"),
                ], to: bench)
            #expect(answers.map(\.isAccepted) == [true, false, true, false])
            #expect(await bench.queue.count(of: .submit) == 1)
        }
    }

    @Test("a batch of denied requests makes no submission")
    func allDenied() async throws {
        try await WorkerBench.with { bench in
            _ = try await self.submit([try self.request("not.allowed")], to: bench)
            #expect(await bench.queue.count(of: .submit) == 0)
        }
    }

    @Test("a repeated request is answered with the first job and its state")
    func duplicate() async throws {
        try await WorkerBench.with { bench in
            let first = try self.accepted(try await self.submit(try self.request(), to: bench))
            let again = try await self.submit(try self.request(), to: bench)
            #expect(again == .accepted(first, isDuplicate: true, state: .available))
        }
    }

    @Test("a request id with other params is refused, and the first job is named")
    func conflict() async throws {
        try await WorkerBench.with { bench in
            let first = try self.accepted(try await self.submit(try self.request(), to: bench))
            let answer = try await self.submit(try self.request(params: #"{"note":"x"}"#), to: bench)
            guard case .refused(let refusal) = answer else { return #expect(Bool(false)) }
            #expect(refusal.kind == .inUse && refusal.message.contains(first.description))
        }
    }

    @Test("a request id with the same params for another action is refused")
    func otherAction() async throws {
        try await WorkerBench.with { bench in
            _ = try await self.submit(try self.request(), to: bench)
            let answer = try await self.submit(try self.request("site.build"), to: bench)
            #expect(self.refusal(answer) == .inUse)
        }
    }

    @Test("a unique key is in use until its job has ended")
    func uniqueKey() async throws {
        try await WorkerBench.with { bench in
            let first = try self.accepted(try await self.submit(try self.request(unique: "deploy"), to: bench))
            let second = try await self.submit(try self.request(number: 2, unique: "deploy"), to: bench)
            guard case .refused(let refusal) = second else { return #expect(Bool(false)) }
            #expect(refusal.kind == .inUse && refusal.message.contains(first.description))
        }
    }

    @Test("a full workspace refuses, and the request may come again")
    func full() async throws {
        try await WorkerBench.with(limits: QueueLimits(streamLength: 1)) { bench in
            _ = try await self.submit(try self.request(), to: bench)
            #expect(try await self.refusal(self.submit(self.request(number: 2), to: bench)) == .full)
            for delivery in try await bench.claim() { await bench.process(delivery) }
            #expect(try await self.submit(try self.request(number: 2), to: bench).isAccepted)
        }
    }

    @Test("a workspace in quarantine refuses, with a row in the audit trail for each request")
    func quarantined() async throws {
        try await WorkerBench.with { bench in
            let acme = try WorkspaceID("acme")
            _ = try await bench.queue.quarantine(acme, reason: "x", auditEvent: [])
            let answers = try await self.submit(
                [try self.request(number: 1), try self.request(number: 2)], to: bench)
            #expect(answers.map { self.refusal($0) } == [.quarantined, .quarantined])
            #expect(try await bench.audit().map { $0["rule"]?.string } == ["quarantine", "quarantine"])
        }
    }

    @Test("while the queue is away no request is answered")
    func outage() async throws {
        try await WorkerBench.with { bench in
            let error = JobQueueError(code: .unavailable, message: "away")
            await bench.queue.fail(.submit, with: error)
            await #expect(throws: error) { try await self.submit(try self.request(), to: bench) }
        }
    }

    @Test("a request that is sent again after a lost answer is one job")
    func lostAnswer() async throws {
        try await WorkerBench.with { bench in
            let error = JobQueueError(code: .unavailable, message: "away")
            await bench.queue.fail(.submit, with: error, losesAnswer: true)
            await #expect(throws: error) { try await self.submit(try self.request(), to: bench) }
            let answer = try await self.submit(try self.request(), to: bench)
            guard case .accepted(_, isDuplicate: true, state: .available) = answer else {
                return #expect(Bool(false), "\(answer)")
            }
            #expect(await bench.queue.statistics().waiting == 1)
        }
    }

    @Test("where a request came from is in its rows")
    func origin() async throws {
        try await WorkerBench.with { bench in
            var request = try self.request()
            request.origin = ("req-1", "192.0.2.7", "n1")
            _ = try await self.submit(request, to: bench)
            let row = try #require(try await bench.audit().first)
            #expect(row["request_id"]?.string == "req-1" && row["address"]?.string == "192.0.2.7")
            #expect(row["node"]?.string == "n1")
        }
    }
}
