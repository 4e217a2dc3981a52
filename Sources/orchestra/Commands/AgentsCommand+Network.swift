import Agents
import ArgumentParser
import Domain
import Jobs
import ModelUsage

extension AgentsCommand {
    struct Network: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Shows what an agent or a command asked of the network: requests, refusals, bytes, tokens, cost.",
            discussion: """
                The rows come from the audit trail, which has each decision before bytes go out: also while the agent
                runs.

                EXAMPLES
                  orchestra agents network 0197f3a2-7c1e-7b52-9d0a-5a1f6f0c2b11
                  orchestra agents network 0197f3a2-7c1e-7b52-9d0a-5a1f6f0c2b11 --json
                """)

        @OptionGroup var scope: WorkspaceScope
        @OptionGroup var output: OutputOptions
        @Argument(help: "The agent's or the job's id.") var id: String

        func run() async throws {
            try await reporting {
                let (id, json) = (try JobID(self.id), self.output.json)
                try await self.scope.withSession { session, workspace in
                    guard let record = try await session.queue.job(id, in: workspace) else {
                        throw CommandError(.data, "there is no job \(id) in workspace \(workspace)")
                    }
                    var use = NetworkUse()
                    for row in try await Self.rows(of: record.id, in: workspace, session) {
                        use.add(row)
                        Orchestra.say(json ? row.text : NetworkUse.line(row))
                    }
                    if !json { Orchestra.say(use.summary) }
                }
            }
        }

        /// The rows of a job about connections, oldest first.
        private static func rows(
            of id: JobID, in workspace: WorkspaceID, _ session: QueueSession
        ) async throws -> [JSONValue] {
            var rows: [JSONValue] = []
            var cursor: String?
            repeat {
                let page = try await session.queue.auditTrail(of: workspace, before: cursor, limit: 1000)
                for event in page.events {
                    let row = try JSONParser.parse(event)
                    // Nothing of a job is older than its submission.
                    if row["kind"] == "job.submitted", row["job_id"]?.string == id.description {
                        return rows.reversed()
                    }
                    if row["kind"] == "egress.request", row["job_id"]?.string == id.description { rows.append(row) }
                }
                cursor = page.next
            } while cursor != nil
            return rows.reversed()
        }
    }
}

/// What a launch used of the network, from rows of the audit trail.
struct NetworkUse {
    private var requests = 0
    private var refusals = 0
    private var bytesOut: Int64 = 0
    private var bytesIn: Int64 = 0
    private var input: Int64 = 0
    private var output: Int64 = 0
    private var microdollars: Int64 = 0
    private var isEstimated = false

    mutating func add(_ row: JSONValue) {
        let count = Int(clamping: row["count"]?.integer ?? 1)
        switch row["status"]?.string {
        case "allowed": self.requests += count
        case "denied": self.refusals += count
        default: break
        }
        guard row["status"] == "ended", let connection = row["connection"] else { return }
        self.bytesOut += connection["bytes_out"]?.integer ?? 0
        self.bytesIn += connection["bytes_in"]?.integer ?? 0
        self.microdollars += connection["cost_microdollars"]?.integer ?? 0
        guard let usage = connection["model"]?["usage"], usage != .null else { return }
        for kind in ["input", "cache_read", "cache_write"] { self.input += usage[kind]?.integer ?? 0 }
        self.output += usage["output"]?.integer ?? 0
        if usage["estimated"] == .bool(true) { self.isEstimated = true }
    }

    /// One line for people.
    var summary: String {
        let cost = BudgetsCommand.Amount.text(UInt64(clamping: self.microdollars) * 1000, .money)
        return
            "\(self.requests) requests, \(self.refusals) refused, \(self.bytesOut) bytes out, \(self.bytesIn) bytes in, "
            + "\(self.input) tokens in, \(self.output) tokens out, \(cost)\(self.isEstimated ? " (in part estimated)" : "")"
    }

    /// One row for people.
    static func line(_ row: JSONValue) -> String {
        let connection = row["connection"] ?? .null
        func text(_ name: String) -> String { connection[name]?.string ?? "" }
        let place = "\(text("method")) \(text("host"))\(text("path"))"
        let time = row["time"]?.integer.map { RFC3339.text(of: UInt64(clamping: $0)) } ?? ""
        var parts = [time, row["status"]?.string ?? "", place]
        if let model = connection["model"]?["name"]?.string { parts.append(model) }
        if let reason = row["error_reason"]?.string, !reason.isEmpty { parts.append(reason) }
        if row["status"] == "ended" {
            parts.append("\(connection["bytes_out"]?.integer ?? 0) out, \(connection["bytes_in"]?.integer ?? 0) in")
        }
        if let usage = connection["model"]?["usage"], usage != .null {
            parts.append("\(usage["input"]?.integer ?? 0) + \(usage["output"]?.integer ?? 0) tokens")
        }
        return Printable.text(parts.joined(separator: "  "), limit: 400)
    }
}
