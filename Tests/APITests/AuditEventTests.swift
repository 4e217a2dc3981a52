import Audit
import Domain
import Testing

@Suite("AuditEvent")
struct AuditEventTests {
    private static func row(_ reason: String, count: Int = 1) throws -> JSONValue {
        var event = AuditEvent(
            kind: .denied, workspace: nil, actor: "key:a", action: "shell.run", jobID: nil, status: "denied",
            rule: "params", duration: .zero, errorReason: reason, paramsDigest: [], node: "n1", time: 1)
        event.count = count
        return try JSONParser.parse(event.encoded)
    }

    @Test("a reason that quotes a credential, such as a param's name, has it masked")
    func masked() throws {
        let reason = try Self.row("params must not have 'relay_sk_abcdefghijklmnop_secret'")["error_reason"]?.string
        #expect(reason == "params must not have '[redacted:orchestra-key]'")
    }

    @Test("a row has a count only when it stands for several events")
    func counts() throws {
        #expect(try Self.row("").members?.contains { $0.name == "count" } == false)
        #expect(try Self.row("", count: 3)["count"] == 3)
    }
}
