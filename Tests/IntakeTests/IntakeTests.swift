import Cryptography
import Domain
import Intake
import Jobs
import JobsModel
import Policy
import Testing

@Suite("Intake")
struct IntakeTests {
    private let queue = InMemoryJobQueue(limits: QueueLimits(), now: { 1_800_000_000_000 })
    private let keys: WorkspaceKeyring
    private let intake: Intake

    init() throws {
        self.keys = WorkspaceKeyring(
            queue: self.queue, master: try SealingKey(bytes: [UInt8](repeating: 1, count: 32)))
        func file(_ folder: String, _ name: String, _ text: String) -> PolicyFile {
            PolicyFile(folder: folder, name: name + ".json", bytes: Array(text.utf8))
        }
        let bundle = try PolicyBundle(files: [
            file("sandbox", "default", #"{"name":"default","summary":"x","environment":{}}"#),
            file(
                "actions", "queue.noop",
                #"{"name":"queue.noop","summary":"x","effect":"read","handler":{"kind":"none"},"params":{"type":"object","properties":{"n":{"type":"number"}},"additionalProperties":false}}"#
            ),
            file(
                "actions", "mail.send",
                #"{"name":"mail.send","summary":"x","effect":"external","handler":{"kind":"none"},"params":{"type":"object"}}"#
            ),
        ])
        self.intake = Intake(
            queue: self.queue, keys: self.keys, digester: ParamsDigester(key: [1]),
            policy: PolicyEngine(bundle: bundle, allowed: try AllowList("queue.noop,mail.send")))
    }

    private func request(
        _ params: String = "{}", id: String = "1b4e28ba-2fa1-41d2-883f-0016d3cca427", action: String = "queue.noop",
        unique: String? = nil
    ) throws -> JobRequest {
        JobRequest(
            workspace: try WorkspaceID("acme"), action: try ActionName(action), requestID: try RequestID(id),
            params: Array(params.utf8), actor: "test", uniqueKey: unique)
    }

    private func submit(_ request: JobRequest) async throws -> IntakeAnswer {
        try #require(try await self.intake.submit([request]).first)
    }

    private func refusal(_ answer: IntakeAnswer) -> IntakeRefusal.Kind? {
        if case .refused(let refusal) = answer { refusal.kind } else { nil }
    }

    @Test("an allowed request becomes a job with one audit event")
    func accepted() async throws {
        #expect(try await self.submit(try self.request()).isAccepted)
        #expect(await self.queue.audit.count == 1)
    }

    @Test("the same request again answers the first job and adds no event")
    func duplicate() async throws {
        guard case .accepted(let first, false, _) = try await self.submit(try self.request()),
            case .accepted(let second, true, let state) = try await self.submit(try self.request())
        else {
            Issue.record("expected one job and one duplicate")
            return
        }
        #expect(first == second && state == .available)
        #expect(await self.queue.audit.count == 1)
    }

    @Test("the same request id with other bytes is refused")
    func conflict() async throws {
        _ = try await self.submit(try self.request(#"{"n":1}"#))
        #expect(self.refusal(try await self.submit(try self.request(#"{"n":1.0}"#))) == .inUse)
    }

    @Test("what the policy does not allow is refused, audited and not stored")
    func denied() async throws {
        #expect(self.refusal(try await self.submit(try self.request(action: "shell.run"))) == .notAllowed)
        #expect(self.refusal(try await self.submit(try self.request(#"{"x":1}"#))) == .unusable)
        #expect(await self.queue.audit.count == 2)
        #expect(try await self.queue.jobs(in: WorkspaceID("acme"), limit: 1, tag: nil, after: nil).isEmpty)
    }

    @Test("that an external effect may be repeated is for its file to say: a submitter who says so is refused")
    func repeatableExternal() async throws {
        var request = try self.request(action: "mail.send")
        request.isRepeatable = true
        #expect(self.refusal(try await self.submit(request)) == .unusable)
        #expect(await self.queue.audit.count == 1)
        request.isRepeatable = false
        #expect(self.refusal(try await self.submit(request)) == nil)
    }

    @Test("answers stand in the order of the requests, denied ones between")
    func order() async throws {
        let answers = try await self.intake.submit([
            self.request(id: "1b4e28ba-2fa1-41d2-883f-000000000001"),
            self.request(id: "1b4e28ba-2fa1-41d2-883f-000000000002", action: "shell.run"),
            self.request(id: "1b4e28ba-2fa1-41d2-883f-000000000003"),
        ])
        #expect(answers.map(\.isAccepted) == [true, false, true])
    }

    @Test(
        "params that were submitted reach the node byte for byte", arguments: [#"{"n":18446744073709551615}"#, "{ }"])
    func bytes(params: String) async throws {
        _ = try await self.submit(try self.request(params))
        let lease = NodeLease(
            queue: self.queue,
            identity: NodeIdentity(node: try NodeID("n1"), incarnation: Incarnation(value: 1), owner: "here"))
        _ = try await lease.join()
        let delivery = try #require(try await lease.claim(ClaimRequest(most: 1)).deliveries.first)
        let job = try await JobEnvelope.open(delivery, keys: self.keys)
        #expect(String(decoding: job.params, as: UTF8.self) == params)
    }

    @Test("after the queue was emptied a job is sealed with the key that is stored, not with the one in memory")
    func emptied() async throws {
        _ = try await self.submit(try self.request(id: "1b4e28ba-2fa1-41d2-883f-000000000001"))
        await self.queue.empty()
        _ = try await self.submit(try self.request(id: "1b4e28ba-2fa1-41d2-883f-000000000002"))
        let node = WorkspaceKeyring(
            queue: self.queue, master: try SealingKey(bytes: [UInt8](repeating: 1, count: 32)))
        let lease = NodeLease(
            queue: self.queue,
            identity: NodeIdentity(node: try NodeID("n1"), incarnation: Incarnation(value: 1), owner: "here"))
        _ = try await lease.join()
        let delivery = try #require(try await lease.claim(ClaimRequest(most: 1)).deliveries.first)
        _ = try await JobEnvelope.open(delivery, keys: node)
    }

    @Test("a quarantined workspace's request is refused and audited")
    func quarantined() async throws {
        _ = try await self.queue.quarantine(try WorkspaceID("acme"), reason: "incident", auditEvent: [])
        #expect(self.refusal(try await self.submit(try self.request())) == .quarantined)
    }

    @Test("a unique key in use is refused with the holder's state")
    func unique() async throws {
        _ = try await self.submit(try self.request(unique: "u"))
        let answer = try await self.submit(
            try self.request(id: "1b4e28ba-2fa1-41d2-883f-000000000002", unique: "u"))
        guard case .refused(let refusal) = answer else {
            Issue.record("expected a refusal")
            return
        }
        #expect(refusal.kind == .inUse && refusal.message.contains("available"))
    }
}
