import Domain
import Foundation
import Jobs
import Redaction

/// A job's record for people and for programs: its reason, progress and result without secrets.
enum JobText {
    /// The result of a job, nil when it has none or it is not JSON. Throws when it cannot be decrypted.
    static func result(of job: JobRecord, in workspace: WorkspaceID, keys: WorkspaceKeyring) async throws -> JSONValue?
    {
        try await self.result(sealed: job.sealedResult, of: job.id, in: workspace, keys: keys)
    }

    /// As `result(of:in:keys:)`, from the sealed bytes.
    static func result(
        sealed: [UInt8], of job: JobID, in workspace: WorkspaceID, keys: WorkspaceKeyring
    ) async throws -> JSONValue? {
        guard !sealed.isEmpty else { return nil }
        let plain = try await JobEnvelope.open(result: sealed, workspace: workspace, job: job, keys: keys)
        // A result that is not JSON comes from another version and is not shown.
        return JSONValue(ifValid: plain)
    }

    /// One line of a list.
    static func line(_ job: JobRecord) -> String {
        let state = job.state.rawValue.padding(toLength: 10, withPad: " ", startingAt: 0)
        let reason = job.reason.isEmpty ? "" : "  \(Printable.text(Redactor.redacted(job.reason), limit: 60))"
        return "\(job.id)  \(state)  \(self.time(job.submittedAt))  \(job.action)\(reason)"
    }

    /// All of a job for people, with its terms; `shown` names members of the result that were printed before.
    static func page(
        _ job: JobRecord, progress: JobProgress? = nil, terms: JobTerms = JobTerms(), result: JSONValue?,
        shown: Set<String> = []
    ) -> String {
        var lines = ["job          \(job.id)", "action       \(job.action)", "state        \(job.state.rawValue)"]
        if !job.reason.isEmpty {
            lines.append("reason       \(Printable.text(Redactor.redacted(job.reason), limit: 500))")
        }
        lines.append("submitted    \(self.time(job.submittedAt))")
        if terms.priority != .normal { lines.append("priority     \(terms.priority.name)") }
        if let time = terms.runAt { lines.append("not before   \(self.time(time))") }
        if let time = terms.deadline { lines.append("deadline     \(self.time(time))") }
        if let key = terms.uniqueKey { lines.append("unique key   \(Printable.text(key))") }
        if job.startedAt > 0 { lines.append("started      \(self.time(job.startedAt))") }
        if job.finishedAt > 0 { lines.append("finished     \(self.time(job.finishedAt))") }
        if !job.node.isEmpty { lines.append("node         \(Printable.text(job.node))") }
        if job.failures + job.crashes > 0 { lines.append("failures     \(job.failures), crashes \(job.crashes)") }
        if !job.tags.isEmpty { lines.append("tags         \(Printable.text(job.tags.joined(separator: ", ")))") }
        if let progress {
            lines.append(
                "progress     \(progress.percent) % \(Redactor.redacted(progress.text)) (\(self.time(progress.time)))")
        }
        if let result { lines += self.lines(of: result, shown: shown) }
        return lines.joined(separator: "\n")
    }

    /// A result: a line or a block for each member.
    static func lines(of result: JSONValue, shown: Set<String> = []) -> [String] {
        var lines: [String] = []
        for member in result.redacted().members ?? [JSONMember("result", result.redacted())]
        where !shown.contains(member.name) {
            if let text = member.value.string, text.contains("\n") {
                lines.append("\(member.name):")
                lines += TerminalText.plain(text).split(separator: "\n", omittingEmptySubsequences: false).map {
                    "    \($0)"
                }
            } else {
                let name = member.name.padding(toLength: max(12, member.name.count), withPad: " ", startingAt: 0)
                lines.append("\(name) \(TerminalText.plain(member.value.string ?? member.value.text))")
            }
        }
        return lines
    }

    /// All of a job for programs, with its progress and its terms where they are given.
    static func json(
        _ job: JobRecord, progress: JobProgress? = nil, terms: JobTerms? = nil, result: JSONValue? = nil
    ) -> JSONValue {
        var members: [JSONMember] = [
            JSONMember("job_id", .string(job.id.description)), JSONMember("action", .string(job.action)),
            JSONMember("state", .string(job.state.rawValue)),
            JSONMember("submitted_at", .integer(Int64(clamping: job.submittedAt))),
            JSONMember("started_at", .integer(Int64(clamping: job.startedAt))),
            JSONMember("finished_at", .integer(Int64(clamping: job.finishedAt))),
            JSONMember("failures", .integer(Int64(job.failures))), JSONMember("crashes", .integer(Int64(job.crashes))),
            JSONMember("node", .string(job.node)), JSONMember("reason", .string(Redactor.redacted(job.reason))),
        ]
        members.append(JSONMember("tags", .array(job.tags.map { .string($0) })))
        if let terms {
            members.append(JSONMember("priority", .string(terms.priority.name)))
            members.append(JSONMember("run_at", .integer(Int64(clamping: terms.runAt ?? 0))))
            members.append(JSONMember("deadline", .integer(Int64(clamping: terms.deadline ?? 0))))
            members.append(JSONMember("unique_key", terms.uniqueKey.map { .string($0) } ?? .null))
        }
        if let progress {
            let value: JSONValue = [
                "percent": .integer(Int64(progress.percent)), "text": .string(Redactor.redacted(progress.text)),
                "time": .integer(Int64(clamping: progress.time)),
            ]
            members.append(JSONMember("progress", value))
        }
        if let result { members.append(JSONMember("result", result.redacted())) }
        return .object(members)
    }

    /// A time in milliseconds since the epoch, as RFC 3339.
    static func time(_ milliseconds: UInt64) -> String {
        RFC3339.secondsText(of: milliseconds)
    }
}
