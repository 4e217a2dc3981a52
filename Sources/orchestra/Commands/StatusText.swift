import Domain
import Foundation

/// The status of a node for people: its checks and its supervision tree.
struct StatusText {
    private(set) var lines: [String] = []

    /// Reads the document of the node's status socket.
    init(_ document: JSONValue) {
        let isReady = document["is_ready"]?.bool == true
        let restarts = document["restarts_last_minute"]?.integer ?? 0
        self.lines.append(
            "\(document["node"]?.string ?? "?"): \(isReady ? "ready" : "not ready"), \(Self.count(restarts, "restart")) in the last minute"
        )
        for check in document["checks"]?.array ?? [] {
            let sign = check["is_healthy"]?.bool == true ? "+" : "-"
            self.lines.append("  [\(sign)] \(check["name"]?.string ?? ""): \(check["detail"]?.string ?? "")")
        }
        guard let tree = document["tree"], let name = tree["supervisor"]?.string else { return }
        self.lines.append("")
        self.lines.append("\(name)  \(Self.summary(of: tree))")
        self.add(tree, indent: "")
    }

    private mutating func add(_ tree: JSONValue, indent: String) {
        let children = tree["children"]?.array ?? []
        for (index, child) in children.enumerated() {
            let isLast = index == children.count - 1
            self.lines.append("\(indent)\(isLast ? "└─ " : "├─ ")\(Self.line(of: child))")
            if let below = child["tree"], below["supervisor"] != nil {
                self.add(below, indent: indent + (isLast ? "   " : "│  "))
            }
        }
    }

    private static func line(of child: JSONValue) -> String {
        var parts = ["\(child["id"]?.string ?? "?")  \(child["state"]?.string ?? "?")"]
        if let uptime = child["uptime_ms"]?.integer { parts[0] += " for \(Self.age(uptime))" }
        if let tree = child["tree"], tree["supervisor"] != nil { parts.append(Self.summary(of: tree)) }
        if let restarts = child["restarts"]?.integer, restarts > 0 { parts.append(Self.count(restarts, "restart")) }
        if let reason = child["waits_for"]?.string { parts.append("waits: \(Printable.text(reason, limit: 200))") }
        if let reason = child["last_reason"]?.string { parts.append("last: \(Printable.text(reason, limit: 200))") }
        return parts.joined(separator: ", ")
    }

    private static func summary(of tree: JSONValue) -> String {
        let recent = tree["recent_restarts"]?.integer ?? 0
        let seconds = (tree["period_ms"]?.integer ?? 0) / 1000
        return
            "\(tree["strategy"]?.string ?? "?"), \(recent) of \(tree["intensity"]?.integer ?? 0) restarts in \(seconds) s"
    }

    private static func count(_ number: Int64, _ word: String) -> String {
        "\(number) \(word)\(number == 1 ? "" : "s")"
    }

    private static func age(_ milliseconds: Int64) -> String {
        let seconds = milliseconds / 1000
        switch seconds {
        case ..<60: return "\(seconds) s"
        case ..<3600: return "\(seconds / 60) min \(seconds % 60) s"
        case ..<86400: return "\(seconds / 3600) h \(seconds / 60 % 60) min"
        default: return "\(seconds / 86400) d \(seconds / 3600 % 24) h"
        }
    }
}
