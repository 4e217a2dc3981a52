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
                    let (rows, unreadable) = try await Self.rows(of: id, in: workspace, session)
                    if unreadable > 0 {
                        note("\(unreadable) rows of the audit trail cannot be read and may be of it: orchestra audit")
                    }
                    // The rows are kept for longer than the job.
                    if rows.isEmpty, try await session.queue.job(id, in: workspace) == nil {
                        throw CommandError(.data, "there is no job \(id) in workspace \(workspace), and no row of one")
                    }
                    var use = NetworkUse()
                    for row in rows {
                        use.add(row)
                        Orchestra.say(json ? row.text : NetworkUse.line(row))
                    }
                    if !json { Orchestra.say(use.summary) }
                }
            }
        }

        /// The rows of a job about connections, oldest first, and how many rows among them cannot be read.
        private static func rows(
            of id: JobID, in workspace: WorkspaceID, _ session: QueueSession
        ) async throws -> (rows: [JSONValue], unreadable: Int) {
            var (rows, unreadable): ([JSONValue], Int) = ([], 0)
            var cursor: String?
            repeat {
                let page = try await session.queue.auditTrail(of: workspace, before: cursor, limit: 1000)
                for row in page.rows {
                    if row["kind"] == AuditPage.unreadable { unreadable += 1 }
                    guard row["job_id"]?.string == id.description else { continue }
                    // Nothing of a job is older than its submission.
                    if row["kind"] == "job.submitted" { return (rows.reversed(), unreadable) }
                    if row["kind"] == "egress.request" { rows.append(row) }
                }
                cursor = page.next
            } while cursor != nil
            return (rows.reversed(), unreadable)
        }
    }
}

/// What a launch used of the network, from rows of the audit trail.
struct NetworkUse {
    private var requests: UInt64 = 0
    private var refusals: UInt64 = 0
    private var bytesOut: UInt64 = 0
    private var bytesIn: UInt64 = 0
    private var input: UInt64 = 0
    private var output: UInt64 = 0
    private var microdollars: UInt64 = 0
    private var isEstimated = false

    /// Rows come from Redis: a number that is not plausible must not end the command.
    private static func number(_ value: JSONValue?) -> UInt64 { UInt64(clamping: value?.integer ?? 0) }

    mutating func add(_ row: JSONValue) {
        let count = max(1, Self.number(row["count"]))
        switch row["status"]?.string {
        case "allowed": self.requests = self.requests.addingSaturated(count)
        case "denied": self.refusals = self.refusals.addingSaturated(count)
        default: break
        }
        guard row["status"] == "ended", let connection = row["connection"] else { return }
        self.bytesOut = self.bytesOut.addingSaturated(Self.number(connection["bytes_out"]))
        self.bytesIn = self.bytesIn.addingSaturated(Self.number(connection["bytes_in"]))
        self.microdollars = self.microdollars.addingSaturated(Self.number(connection["cost_microdollars"]))
        guard let usage = connection["model"]?["usage"], usage != .null else { return }
        for kind in ["input", "cache_read", "cache_write"] {
            self.input = self.input.addingSaturated(Self.number(usage[kind]))
        }
        self.output = self.output.addingSaturated(Self.number(usage["output"]))
        if usage["estimated"] == .bool(true) { self.isEstimated = true }
    }

    /// One line for people.
    var summary: String {
        let cost = BudgetUnit.money.text(of: self.microdollars.multipliedSaturated(by: 1000))
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
