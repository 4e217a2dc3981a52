import Domain
import Testing

@testable import Audit

@Suite("AuditEvent")
struct AuditEventTests {
    private func event(_ kind: AuditEvent.Kind = .outcome) throws -> AuditEvent {
        AuditEvent(
            kind: kind, workspace: try WorkspaceID("acme"), actor: "key:1", action: "shell.run",
            jobID: JobID(milliseconds: 1_800_000_000_000, randomHigh: 1, randomLow: 2), status: "completed",
            rule: "allow-list", duration: .milliseconds(1500), errorReason: "", paramsDigest: [0xab, 0xcd], node: "n1",
            time: 1_800_000_000_123)
    }

    /// The row as it is read back.
    private func row(_ event: AuditEvent) throws -> JSONValue { try JSONParser.parse(event.encoded) }

    /// Every kind with the name that it has in stored rows: names are read by other programs and never change.
    private static let names: [(AuditEvent.Kind, String)] = [
        (.submitted, "job.submitted"), (.denied, "job.denied"), (.outcome, "job.outcome"), (.attempt, "job.attempt"),
        (.cancelRequested, "job.cancel"), (.requeued, "job.requeued"), (.dropped, "job.dropped"),
        (.resolved, "job.resolved"), (.typed, "agent.input"), (.frozen, "agent.frozen"), (.thawed, "agent.thawed"),
        (.quarantined, "workspace.quarantined"), (.released, "workspace.released"),
        (.incident, "security.incident"), (.limitsSet, "workspace.limits"), (.files, "workspace.files"),
        (.request, "api.request"),
        (.keyCreated, "key.created"), (.keyRevoked, "key.revoked"), (.tokensRevoked, "tokens.revoked"),
        (.egress, "egress.request"), (.budgetReached, "budget.reached"), (.budgetChanged, "budget.changed"),
        (.credentialChanged, "credential.changed"),
    ]

    @Test("each kind keeps its name", arguments: names)
    func kind(kind: AuditEvent.Kind, name: String) throws {
        #expect(try self.row(try self.event(kind))["kind"]?.string == name)
    }

    @Test("no two kinds share a name")
    func distinct() { #expect(Set(Self.names.map(\.1)).count == Self.names.count) }

    @Test("a row has its fields in this order and form")
    func form() throws {
        let text = String(decoding: try self.event().encoded, as: UTF8.self)
        #expect(
            text == #"{"v":1,"kind":"job.outcome","time":1800000000123,"workspace":"acme","actor":"key:1","#
                + #""action":"shell.run","job_id":"01a3185c-5000-7001-8000-000000000002","status":"completed","#
                + #""rule":"allow-list","duration_ms":1500,"params_hmac":"abcd","node":"n1"}"#)
    }

    @Test("a transfer of files has its bytes and entries")
    func transfer() throws {
        var event = try self.event(.files)
        event.transfer = AuditEvent.Transfer(bytes: 10_240, entries: 3)
        let row = try self.row(event)
        #expect(row["files"]?["bytes"]?.integer == 10_240 && row["files"]?["entries"]?.integer == 3)
    }

    @Test(
        "what is not known has no field",
        arguments: [
            "workspace", "job_id", "error_reason", "params_hmac", "params_prefix64", "request_id", "address", "node",
        ])
    func absent(field: String) throws {
        let event = AuditEvent(
            kind: .request, workspace: nil, actor: "", action: "", jobID: nil, status: "denied", rule: "credential",
            duration: .zero, errorReason: "", paramsDigest: [], node: "", time: 1)
        let row = try self.row(event)
        #expect(row[field] == nil && row["status"]?.string == "denied")
    }

    @Test(
        "what is always known has a field, also when it is empty",
        arguments: [
            "v", "kind", "time", "actor", "action", "status", "rule", "duration_ms",
        ])
    func present(field: String) throws {
        let event = AuditEvent(
            kind: .request, workspace: nil, actor: "", action: "", jobID: nil, status: "", rule: "", duration: .zero,
            errorReason: "", paramsDigest: [], node: "", time: 0)
        #expect(try self.row(event)[field] != nil)
    }

    @Test("what a request brought along is in its row")
    func request() throws {
        var event = try self.event(.request)
        event.paramsPrefix = "{\"a\":…}"
        event.requestID = "req-1"
        event.address = "192.0.2.7"
        let row = try self.row(event)
        #expect(row["params_prefix64"]?.string == "{\"a\":…}" && row["request_id"]?.string == "req-1")
        #expect(row["address"]?.string == "192.0.2.7")
    }

    @Test(
        "hostile text stays within its field, and the row on its line",
        arguments: [
            "\"}\n{\"kind\":\"job.outcome\"", "a\r\nb", "\\\"", "\u{0}\u{1b}[31m", "\u{7f}\u{9b}2J", "\u{2028}", "🏴‍☠️",
            String(repeating: "\"", count: 5000),
        ])
    func hostile(text: String) throws {
        var event = try self.event()
        event.actor = text
        event.action = text
        event.status = text
        event.rule = text
        event.errorReason = text
        event.node = text
        event.paramsPrefix = text
        event.requestID = text
        event.address = text
        let bytes = event.encoded
        #expect(!bytes.contains { $0 < 0x20 || $0 == 0x7f })
        let row = try JSONParser.parse(bytes)
        for field in [
            "actor", "action", "status", "rule", "error_reason", "node", "params_prefix64", "request_id", "address",
        ] { #expect(row[field]?.string == text) }
        #expect(row["kind"]?.string == "job.outcome" && row.members?.count == 16)
    }

    @Test(
        "a duration is whole milliseconds, rounded down",
        arguments: [
            (Duration.zero, Int64(0)), (.microseconds(999), 0), (.microseconds(1999), 1), (.seconds(3600), 3_600_000),
        ])
    func duration(duration: Duration, expected: Int64) throws {
        var event = try self.event()
        event.duration = duration
        #expect(try self.row(event)["duration_ms"]?.integer == expected)
    }

    @Test("a digest is lower-case hexadecimal")
    func digest() throws {
        var event = try self.event()
        event.paramsDigest = [0x00, 0x0f, 0xf0, 0xff]
        #expect(try self.row(event)["params_hmac"]?.string == "000ff0ff")
    }

    @Test("equal events have equal bytes")
    func deterministic() throws { #expect(try self.event().encoded == (try self.event()).encoded) }
}
