internal import Domain
internal import Jobs
internal import Redaction

/// A job as the API shows it: its reason, progress and result without secrets.
enum JobView {
    /// The job's document, with its progress, its terms and its result where they are given.
    static func json(
        _ job: JobRecord, progress: JobProgress?, terms: JobTerms? = nil, result: JSONValue? = nil
    ) -> JSONValue {
        var members: [JSONMember] = [
            JSONMember("job_id", .string(job.id.description)), JSONMember("action", .string(job.action)),
            JSONMember("state", .string(job.state.rawValue)),
            JSONMember("submitted_at", self.time(job.submittedAt)), JSONMember("started_at", self.time(job.startedAt)),
            JSONMember("finished_at", self.time(job.finishedAt)),
            JSONMember("failures", .integer(Int64(job.failures))), JSONMember("crashes", .integer(Int64(job.crashes))),
            JSONMember("node", .string(job.node)), JSONMember("reason", .string(Redactor.redacted(job.reason))),
            JSONMember("tags", .array(job.tags.map { .string($0) })),
        ]
        if let terms {
            members.append(JSONMember("priority", .string(terms.priority.name)))
            members.append(JSONMember("run_at", self.time(terms.runAt ?? 0)))
            members.append(JSONMember("deadline", self.time(terms.deadline ?? 0)))
            members.append(JSONMember("unique_key", terms.uniqueKey.map { .string($0) } ?? .null))
        }
        if let progress {
            let value: JSONValue = [
                "percent": .integer(Int64(progress.percent)), "text": .string(Redactor.redacted(progress.text)),
                "time": self.time(progress.time),
            ]
            members.append(JSONMember("progress", value))
        }
        if let result { members.append(JSONMember("result", result.redacted())) }
        return .object(members)
    }

    /// RFC 3339 with milliseconds; null for a time that has not come.
    static func time(_ milliseconds: UInt64) -> JSONValue {
        milliseconds > 0 ? .string(RFC3339.text(of: milliseconds)) : .null
    }
}
