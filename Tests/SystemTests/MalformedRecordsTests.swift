import Domain
import Foundation
import Redis
import TestSupport
import Testing

/// Lists of records that Redis keeps, one of which cannot be read.
@Suite("Malformed records", .enabled(if: !isRoot, "the node refuses to run as root"))
struct MalformedRecordsTests {
    private static func rows(_ output: String) throws -> [JSONValue] {
        try output.split(separator: "\n").map { try JSONParser.parse(Array($0.utf8)) }
    }

    @Test("a row of the audit trail that cannot be read says so and hides no other")
    func audit() async throws {
        try await Installation.with { installation in
            let acme = ["ORCHESTRA_WORKSPACE": "acme"]
            let before = try await installation.submit("queue.noop", [:])
            _ = try await installation.client.send(RedisCommand("XADD", "orc:{l0}:w:acme:audit", "*", "e", "{broken"))
            let after = try await installation.submit("queue.noop", [:])
            let text = try await installation.command(["audit"], change: acme)
            let lines = text.output.split(separator: "\n")
            #expect(text.code == 0 && lines.count == 3, "\(text)")
            #expect(lines[0].contains(after.description) && lines[2].contains(before.description))
            #expect(lines[1].contains("audit.unreadable") && lines[1].contains("'{broken'"), "\(lines[1])")
            let json = try Self.rows(try await installation.command(["audit", "--json"], change: acme).output)
            #expect(json.map { $0["kind"] } == ["job.submitted", "audit.unreadable", "job.submitted"])
            let network = try await installation.command(["agents", "network", before.description], change: acme)
            #expect(network.code == 0 && network.output.contains("0 requests"), "\(network)")
            #expect(network.errors.contains("1 rows of the audit trail cannot be read"), "\(network.errors)")
        }
    }

    @Test("a budget that cannot be read is listed by its ID with the others, and can be removed")
    func budgets() async throws {
        try await Installation.with { installation in
            let set = try await installation.command([
                "budgets", "set", "good", "--scope", "workspace", "--window", "day", "--unit", "requests", "--amount",
                "5",
            ])
            #expect(set.code == 0, "\(set)")
            _ = try await installation.client.send(RedisCommand("HSET", "orc:{l0}:budget:limits", "bad", "{}"))
            let text = try await installation.command(["budgets", "list"])
            #expect(text.code == 0 && text.output.contains("good  5 requests per day"), "\(text)")
            #expect(text.output.contains("bad  the stored budget 'bad' is malformed"), "\(text)")
            let json = try Self.rows(try await installation.command(["budgets", "list", "--json"]).output)
            #expect(json.map { $0["id"] } == ["good", "bad"] && json.last?["problem"] != nil)
            let shown = try await installation.command(["budgets", "show"])
            #expect(shown.code == 0 && shown.output.contains("good  spent 0"), "\(shown)")
            #expect(shown.errors.contains("'bad' is malformed"), "\(shown.errors)")
            #expect(try await installation.command(["budgets", "remove", "bad"]).code == 0)
            #expect(try await installation.command(["budgets", "remove", "bad"]).code == 65)
            #expect(try await !installation.command(["budgets", "list"]).output.contains("bad"))
        }
    }
}
