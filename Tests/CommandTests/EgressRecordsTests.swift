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
            let trail = FileTrail(
                path: path, secrets: SecretStore(root: directory + "/secrets"), retention: .seconds(60))
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
        let trail = FileTrail(
            path: "/nowhere/egress.jsonl", secrets: SecretStore(root: "/nowhere"), retention: .seconds(60))
        #expect(trail.append(Self.allowed) == nil)
        #expect(throws: Never.self) { try trail.trim() }
    }

    /// A trail at the millisecond 100,000 that keeps events for a minute, in a file of two events.
    private static func full(_ directory: String, _ times: [Int64]) -> FileTrail {
        var trail = FileTrail(
            path: directory + "/egress.jsonl", secrets: SecretStore(root: directory), retention: .seconds(60))
        trail.now = { 100_000 }
        for time in times { _ = trail.append(["phase": "ended", "time": .integer(time)]) }
        trail.limit = 1
        return trail
    }

    private static func times(_ trail: FileTrail) throws -> [JSONValue?] {
        let text = String(decoding: try #require(FileManager.default.contents(atPath: trail.path)), as: UTF8.self)
        return text.split(separator: "\n").map { JSONValue(ifValid: Array($0.utf8))?["time"] }
    }

    @Test("old events are removed, and a line that cannot be read with those around it")
    func trimmed() async throws {
        try await withDirectory { directory in
            let trail = Self.full(directory, [1, 39_999])
            let young = #"{"time":40000}"#
            let handle = try #require(FileHandle(forWritingAtPath: trail.path))
            try handle.seekToEnd()
            try handle.write(contentsOf: Data("x\n{\"time\":2}\n\(young)\ny\n{\"time\":3}\n".utf8))
            try handle.close()
            try trail.trim()
            #expect(try Self.times(trail) == [40_000, nil, 3])
            try trail.trim()
            #expect(try Self.times(trail).count == 3)
            let mode = try FileManager.default.attributesOfItem(atPath: trail.path)[.posixPermissions] as? Int
            #expect(mode == 0o600)
        }
    }

    @Test("a full file takes events again once old ones can go; young ones are not pushed out")
    func fullFile() async throws {
        try await withDirectory { directory in
            let trail = Self.full(directory, [1, 2])
            let (first, second) = (
                trail.append(["phase": "ended", "time": 100_000]), trail.append(["phase": "ended", "time": 100_001])
            )
            let times = try Self.times(trail)
            #expect(first == .init() && second == nil && times == [100_000])
        }
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
