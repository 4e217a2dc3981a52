import Domain
import Jobs
import Testing

@Suite("A page of the audit trail")
struct AuditPageTests {
    @Test(
        "a stored line that cannot be read is a row that says so, and hides no other",
        arguments: ["", "x", "7", "[]", #"{"kind":"job.sub"#, "\u{1b}[2J"])
    func unreadable(_ line: String) throws {
        let event = Array(#"{"kind":"job.submitted","time":1}"#.utf8)
        let rows = AuditPage(events: [event, Array(line.utf8), event], next: nil).rows
        #expect(rows.count == 3 && rows[0] == rows[2] && rows[0]["kind"] == "job.submitted")
        #expect(rows[1]["kind"] == AuditPage.unreadable)
        let reason = try #require(rows[1]["error_reason"]?.string)
        #expect(reason.contains("\(line.utf8.count) bytes") && !reason.contains("\u{1b}"))
    }

    @Test("a long line is not repeated in full")
    func long() {
        let rows = AuditPage(events: [[UInt8](repeating: 0x61, count: 100_000)], next: nil).rows
        #expect(rows.count == 1 && (rows.first?.text.utf8.count ?? 0) < 500)
    }
}
