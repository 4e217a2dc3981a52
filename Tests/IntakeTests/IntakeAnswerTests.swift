import Cryptography
import Domain
import Intake
import Jobs
import JobsModel
import Policy
import Testing

/// What becomes of requests that are not simply taken, and what the audit trail says of them.
@Suite("Intake, answers")
struct IntakeAnswerTests {
    private static let now: UInt64 = 1_800_000_000_000
    private static let away = JobQueueError(code: .unavailable, message: "Redis is away")

    private let queue = InMemoryJobQueue(limits: QueueLimits(streamLength: 4), now: { Self.now })
    private let intake: Intake

    init() throws {
        let keys = WorkspaceKeyring(
            queue: self.queue, master: try SealingKey(bytes: [UInt8](repeating: 1, count: 32)))
        func action(_ name: String) -> PolicyFile {
            let text = """
                {"name":"\(name)","summary":"x","effect":"read","handler":{"kind":"none"},"params":{"type":"object",
                "properties":{"note":{"type":"string"}},"additionalProperties":false}}
                """
            return PolicyFile(folder: "actions", name: name + ".json", bytes: Array(text.utf8))
        }
        let profile = #"{"name":"default","summary":"x","environment":{}}"#
        let bundle = try PolicyBundle(files: [
            PolicyFile(folder: "sandbox", name: "default.json", bytes: Array(profile.utf8)), action("queue.noop"),
            action("queue.other"), action("not.allowed"),
        ])
        self.intake = Intake(
            queue: self.queue, keys: keys, digester: ParamsDigester(key: [1]),
            policy: PolicyEngine(bundle: bundle, allowed: try AllowList("queue.noop,queue.other,no.file")))
    }

    private func request(_ action: String = "queue.noop", number: UInt64 = 1, params: String = "{}") throws
        -> JobRequest
    {
        JobRequest(
            workspace: try WorkspaceID("acme"), action: try ActionName(action),
            requestID: RequestID(uuid: UUIDBytes(high: 9, low: number)), params: Array(params.utf8), actor: "key:1")
    }

    private func submit(_ request: JobRequest) async throws -> IntakeAnswer {
        try #require(try await self.intake.submit([request]).first)
    }

    private func refusal(_ answer: IntakeAnswer) -> IntakeRefusal.Kind? {
        if case .refused(let refusal) = answer { refusal.kind } else { nil }
    }

    /// The rows of the audit trail.
    private func audit() async throws -> [JSONValue] { try await self.queue.audit.map { try JSONParser.parse($0) } }

    @Test("a job's row names the job, its actor and the rule, and its id carries the queue's time")
    func accepted() async throws {
        guard case .accepted(let id, isDuplicate: false, state: nil) = try await self.submit(try self.request()) else {
            return #expect(Bool(false))
        }
        let row = try #require(try await self.audit().first)
        #expect(row["kind"]?.string == "job.submitted" && row["status"]?.string == "accepted")
        #expect(row["job_id"]?.string == id.description && row["actor"]?.string == "key:1")
        #expect(row["rule"]?.string == "allow-list" && id.milliseconds == Self.now)
    }

    @Test(
        "a denied request stores no job and leaves a row with its rule",
        arguments: [
            ("not.allowed", "{}", IntakeRefusal.Kind.notAllowed, "allow-list"),
            ("no.file", "{}", .notAllowed, "actions"),
            ("queue.noop", "[]", .unusable, "params"), ("queue.noop", #"{"note":1}"#, .unusable, "params"),
        ])
    func denied(action: String, params: String, kind: IntakeRefusal.Kind, rule: String) async throws {
        let answer = try await self.submit(try self.request(action, params: params))
        #expect(self.refusal(answer) == kind)
        let rows = try await self.audit()
        #expect(rows.count == 1 && rows[0]["kind"]?.string == "job.denied" && rows[0]["rule"]?.string == rule)
        #expect(await self.queue.statistics().waiting == 0)
    }

    @Test("a batch is one submission, and one of denied requests is none")
    func batches() async throws {
        _ = try await self.intake.submit([try self.request(number: 1), try self.request(number: 2)])
        #expect(await self.queue.count(of: .submit) == 1)
        _ = try await self.intake.submit([try self.request("not.allowed", number: 3)])
        #expect(await self.queue.count(of: .submit) == 1)
    }

    @Test("a request id with the same params for another action is refused")
    func otherAction() async throws {
        _ = try await self.submit(try self.request())
        #expect(self.refusal(try await self.submit(try self.request("queue.other"))) == .inUse)
    }

    @Test("a full workspace refuses, and the request may come again")
    func full() async throws {
        for number: UInt64 in 1...4 { _ = try await self.submit(try self.request(number: number)) }
        #expect(self.refusal(try await self.submit(try self.request(number: 5))) == .full)
        let lease = NodeLease(
            queue: self.queue,
            identity: NodeIdentity(node: try NodeID("n1"), incarnation: Incarnation(value: 1), owner: "here"))
        _ = try await lease.join()
        let delivery = try #require(try await lease.claim(ClaimRequest(most: 1)).deliveries.first)
        _ = try await lease.finish([
            Completion(delivery: delivery, end: .completed, action: "queue.noop", failures: 0, crashes: 0)
        ])
        let again = try await self.submit(try self.request(number: 5))
        #expect(again.isAccepted)
    }

    @Test("a workspace in quarantine has a row in the audit trail for each request")
    func quarantined() async throws {
        _ = try await self.queue.quarantine(try WorkspaceID("acme"), reason: "x", auditEvent: [])
        _ = try await self.intake.submit([try self.request(number: 1), try self.request(number: 2)])
        let rules = try await self.queue.audit.filter { !$0.isEmpty }.map { try JSONParser.parse($0)["rule"]?.string }
        #expect(rules == ["quarantine", "quarantine"])
    }

    @Test("while the queue is away no request is answered")
    func outage() async throws {
        await self.queue.fail(.submit, with: Self.away)
        await #expect(throws: Self.away) { try await self.submit(try self.request()) }
        #expect(await self.queue.audit.isEmpty)
    }

    @Test("a request that is sent again after a lost answer is one job")
    func lostAnswer() async throws {
        await self.queue.fail(.submit, with: Self.away, losesAnswer: true)
        await #expect(throws: Self.away) { try await self.submit(try self.request()) }
        let answer = try await self.submit(try self.request())
        guard case .accepted(_, isDuplicate: true, state: .available) = answer else { return #expect(Bool(false)) }
        #expect(await self.queue.statistics().waiting == 1)
    }

    @Test("where a request came from is in its rows")
    func origin() async throws {
        var request = try self.request()
        request.origin = JobRequest.Origin(requestID: "req-1", address: "192.0.2.7", node: "n1")
        _ = try await self.submit(request)
        let row = try #require(try await self.audit().first)
        #expect(row["request_id"]?.string == "req-1" && row["address"]?.string == "192.0.2.7")
        #expect(row["node"]?.string == "n1")
    }
}
