import Domain
import Testing

@testable import orchestra

@Suite("StatusText")
struct StatusTextTests {
    private let child: JSONValue = [
        "id": "redis", "state": "running", "uptime_ms": .integer(61_000), "restarts": .integer(2),
        "last_reason": "connection lost",
    ]

    private func lines(_ children: [JSONValue] = []) -> [String] {
        StatusText([
            "node": "n1", "is_ready": .bool(true), "restarts_last_minute": .integer(1),
            "checks": .array([["name": "redis", "is_healthy": .bool(false), "detail": "away"]]),
            "tree": [
                "supervisor": "node", "strategy": "rest-for-one", "intensity": .integer(5),
                "period_ms": .integer(60_000),
                "recent_restarts": .integer(1), "children": .array(children),
            ],
        ]).lines
    }

    @Test("the first line has the node, its readiness and its restarts")
    func head() { #expect(self.lines().first == "n1: ready, 1 restart in the last minute") }

    @Test("a failed check has a minus sign and its detail")
    func checks() { #expect(self.lines().contains("  [-] redis: away")) }

    @Test("a supervisor has its strategy and its restarts")
    func supervisor() { #expect(self.lines().contains("node  rest-for-one, 1 of 5 restarts in 60 s")) }

    @Test("a child has its state, its age, its restarts and its last reason")
    func childLine() {
        #expect(self.lines([self.child]).last == "└─ redis  running for 1 min 1 s, 2 restarts, last: connection lost")
    }

    @Test("only the last child closes the branch")
    func branches() {
        let lines = self.lines([self.child, self.child])
        #expect(lines.suffix(2).map { $0.prefix(2) } == ["├─", "└─"])
    }

    @Test(
        "an age has the two largest units",
        arguments: [(5_000, "5 s"), (3_660_000, "1 h 1 min"), (90_000_000, "1 d 1 h")])
    func ages(milliseconds: Int64, text: String) {
        let child: JSONValue = ["id": "x", "state": "running", "uptime_ms": .integer(milliseconds)]
        #expect(self.lines([child]).last == "└─ x  running for \(text)")
    }

    @Test("a document without a tree has no tree")
    func noTree() { #expect(StatusText(["node": "n"]).lines == ["n: not ready, 0 restarts in the last minute"]) }
}

@Suite("Finding")
struct FindingTests {
    private let finding = Finding(level: .warn, name: "redis", detail: "old")

    @Test("a line begins with its level")
    func line() { #expect(self.finding.line.hasPrefix("warn  redis ") && self.finding.line.hasSuffix(" old")) }

    @Test("JSON has the level, the check and the detail")
    func json() {
        #expect(self.finding.json["level"]?.string == "warn" && self.finding.json["check"]?.string == "redis")
    }
}
