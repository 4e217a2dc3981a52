import Domain
import Foundation

/// An event of the audit trail for people.
enum AuditText {
    /// One line: time, kind, status, actor or address, action, and the reason. A row without a kind is shown as it is,
    /// without control characters.
    static func line(_ row: JSONValue) -> String {
        guard let kind = row["kind"]?.string else { return Printable.text(row.text, limit: 200) }
        let time = row["time"]?.integer.map { JobText.time(UInt64(clamping: $0)) } ?? "-"
        let named = ["actor", "address"].compactMap { row[$0]?.string }.first { !$0.isEmpty } ?? "-"
        var words = [
            time, kind.padding(toLength: max(16, kind.count), withPad: " ", startingAt: 0),
            row["status"]?.string ?? "-", named,
        ]
        words += [row["action"]?.string, row["job_id"]?.string, row["rule"]?.string].compactMap { $0 }
            .filter { !$0.isEmpty }
        if let count = row["count"]?.integer { words.append("× \(count)") }
        if let reason = row["error_reason"]?.string, !reason.isEmpty { words.append(reason) }
        return Printable.text(words.joined(separator: "  "), limit: 400)
    }
}
