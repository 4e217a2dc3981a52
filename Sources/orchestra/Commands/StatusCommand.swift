import ArgumentParser
import CLinux
import Domain
import Foundation

struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Shows what the node of this machine does: health and supervision tree.",
        discussion: """
            Asks the node that runs with this state directory, over a socket that is open to its user alone. Each
            line of the tree is a supervised child: its state, how often it was restarted, why it ended last.

            EXAMPLES
              orchestra status
              orchestra status --json
            """)

    @OptionGroup var common: CommonOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        try await reporting {
            let context = try self.common.context()
            let document = try Self.fetch(context.statusSocket)
            guard !self.output.json else { return show(document.text) }
            for line in StatusText(document).lines { show(line) }
        }
    }

    private static func fetch(_ path: String) throws -> JSONValue {
        let descriptor = unsafe orc_connect_unix(path)
        guard descriptor >= 0 else {
            throw CommandError(
                .unavailable,
                "no node runs with this state directory (\(path): \(unsafe String(cString: strerror(-descriptor)))); start one with: orchestra worker, or orchestra dev"
            )
        }
        let file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        var limit = timeval(tv_sec: 10, tv_usec: 0)
        _ = unsafe setsockopt(
            descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        guard let bytes = try? file.readToEnd() else {
            throw CommandError(.unavailable, "the node did not answer within 10 s; is it stopped, or overloaded?")
        }
        do throws(DomainError) {
            return try JSONParser.parse(Array(bytes), depthLimit: 64)
        } catch {
            throw CommandError(.unavailable, "the node did not tell its status: \(error.message)")
        }
    }
}

/// The status as a person reads it.
struct StatusText {
    private(set) var lines: [String] = []

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
