import Domain
import Jobs
import Testing

@testable import orchestra

@Suite("AuditText")
struct AuditTextTests {
    @Test("an event is one line with its time, kind, status, who, what and why")
    func line() throws {
        let event = #"""
            {"v":1,"kind":"api.request","time":1795996268105,"actor":"","action":"GET /ai/jobs","status":"401","rule":"no-key",
            "duration_ms":0,"error_reason":"120 requests","address":"192.0.2.7","count":120}
            """#
        #expect(
            AuditText.line(try JSONParser.parse(Array(event.utf8)))
                == "2026-11-29T23:51:08Z  api.request       401  192.0.2.7  GET /ai/jobs  no-key  × 120  120 requests")
    }

    @Test("what is no event is shown without control characters", arguments: ["", "x\u{1b}[2J", #"{"a":1}"#])
    func junk(stored: String) {
        for row in AuditPage(events: [Array(stored.utf8)], next: nil).rows {
            #expect(!AuditText.line(row).unicodeScalars.contains { $0.value < 32 })
        }
    }

    @Test(
        "a place is an entry and a number",
        arguments: [
            ("1-0/1", true), ("1795996268105-0/0", true), ("1-0", false), ("1/1", false), ("-/1", false),
            ("1-0/1/1", false), ("+", false), ("1-0/x", false), ("", false), ("1-+0/1", false),
        ])
    func place(text: String, expected: Bool) { #expect(AuditCommand.isPlace(text) == expected) }
}
