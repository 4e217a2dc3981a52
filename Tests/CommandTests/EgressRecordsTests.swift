import Agents
import Domain
import Egress
import EgressServer
import Foundation
import ModelUsage
import Telemetry
import TestSupport
import Testing

@testable import orchestra

@Suite("Records of egress without Redis, and its counters")
struct EgressRecordsTests {
    private static let allowed: JSONValue = [
        "phase": "decided", "decision": "allow", "door": "model", "workspace": "acme", "credential": "anthropic",
        "host": "api.example.test",
    ]

    @Test("events go to a file of the user alone, and a credential comes from the secrets directory")
    func file() async throws {
        try await withDirectory { directory in
            let (path, secrets) = (directory + "/egress.jsonl", directory + "/secrets/acme")
            let trail = FileTrail(path: path, secrets: SecretStore(root: directory + "/secrets"))
            let missing = try #require(trail.append(Self.allowed))
            #expect(missing.refusal?.reason == .credentialMissing && missing.credential == nil)
            try FileManager.default.createDirectory(atPath: secrets, withIntermediateDirectories: true)
            _ = FileManager.default.createFile(
                atPath: secrets + "/anthropic", contents: Data("sk-1\n".utf8), attributes: [.posixPermissions: 0o600])
            #expect(trail.append(Self.allowed) == EgressAcknowledgement(credential: "sk-1"))
            #expect(trail.append(["phase": "ended", "decision": "allow", "credential": "anthropic"]) == .init())
            let text = String(decoding: try #require(FileManager.default.contents(atPath: path)), as: UTF8.self)
            let lines = try text.split(separator: "\n").map { try JSONParser.parse(Array($0.utf8)) }
            #expect(lines.map { $0["decision"] } == ["deny", "allow", "allow"] && !text.contains("sk-1"))
            #expect(lines[0]["reason"] == "credential_missing")
            for value in ["a\nx-evil: 1", "\n", "a b"] {
                try Data(value.utf8).write(to: URL(fileURLWithPath: secrets + "/anthropic"))
                #expect(trail.append(Self.allowed)?.refusal?.reason == .credentialMissing, "\(value)")
            }
            let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
            #expect(mode == 0o600)
        }
    }

    @Test("a file that cannot be written takes no event")
    func noFile() {
        let trail = FileTrail(path: "/nowhere/egress.jsonl", secrets: SecretStore(root: "/nowhere"))
        #expect(trail.append(Self.allowed) == nil)
    }

    @Test("requests, tokens, cost and shares are counted without a tenant")
    func metrics() {
        let registry = MetricsRegistry()
        let metrics = EgressMetrics(factory: registry)
        metrics.record(Self.allowed, isAllowed: true, cost: nil)
        metrics.record(["phase": "decided", "door": "tunnel", "count": 3], isAllowed: false, cost: nil)
        metrics.record(
            [
                "phase": "ended",
                "model": ["provider": "anthropic", "usage": ["input": 5, "output": 2, "cache_read": 0]],
            ], isAllowed: true, cost: Money(nanodollars: 2500))
        let key = BudgetLedger.key(
            of: BudgetLimit(id: "a", scope: .job, window: .run, unit: .tokens, amount: 1),
            for: BudgetSubject(tenant: "t", workspace: "w", definition: "d", job: "j", run: "r"), at: 1)
        metrics.reached(BudgetThreshold(counter: key, percent: 95, spent: 1, amount: 1))
        let text = registry.render()
        for line in [
            #"orchestra_egress_requests_total{decision="allowed",door="model"} 1"#,
            #"orchestra_egress_requests_total{decision="denied",door="tunnel"} 3"#,
            #"orchestra_model_tokens_total{kind="input",provider="anthropic"} 5"#,
            #"orchestra_model_cost_microdollars_total{provider="anthropic"} 3"#,
            #"orchestra_budget_shares_total{percent="95"} 1"#,
        ] { #expect(text.contains(line), "\(line)") }
        #expect(!text.contains(#"kind="cache_read""#) && !text.contains("acme"))
    }
}
