import Domain
import Foundation
import Jobs
import Worker

/// What people write for a request's properties, on the command line and in files.
enum RequestText {
    static func priority(_ text: String) throws -> Priority {
        let names: [String: Priority] = ["high": .high, "normal": .normal, "low": .low]
        guard let priority = names[text] else {
            throw CommandError(.usage, "priority \(Printable.text(text)): expected high, normal or low")
        }
        return priority
    }

    static func start(delay: Int64?, runAt: String?) throws -> JobStart {
        if let delay {
            guard runAt == nil else { throw CommandError(.usage, "a delay and a time to run at exclude each other") }
            guard delay >= 0, Duration.seconds(delay) <= JobStart.longestDelay else {
                throw CommandError(.usage, "delay \(delay): expected seconds from 0 to a year")
            }
            return .after(.seconds(delay))
        }
        return try runAt.map { .at(try self.time($0, "run at")) } ?? .now
    }

    /// Milliseconds since the epoch of an RFC 3339 time.
    static func time(_ text: String, _ name: String) throws -> UInt64 {
        let formats = [Date.ISO8601FormatStyle(), Date.ISO8601FormatStyle(includingFractionalSeconds: true)]
        guard let date = formats.lazy.compactMap({ try? $0.parse(text) }).first, date.timeIntervalSince1970 > 0 else {
            throw CommandError(.usage, "\(name) \(Printable.text(text)): expected a time such as 2026-12-24T18:00:00Z")
        }
        return UInt64(date.timeIntervalSince1970 * 1000)
    }

    static func uniqueKey(_ text: String) throws -> String {
        guard (1...256).contains(text.utf8.count) else {
            throw CommandError(.usage, "a unique key of \(text.utf8.count) bytes: expected 1 to 256")
        }
        return text
    }

    static func tags(_ texts: [String]) throws -> [JobTag] {
        guard texts.count <= JobTag.limit, Set(texts).count == texts.count else {
            throw CommandError(.usage, "\(texts.count) tags: expected at most \(JobTag.limit), each once")
        }
        return try texts.map { try JobTag($0) }
    }
}

/// A file of requests, one JSON object a line.
enum BatchFile {
    /// Requests stored in one step.
    static let chunk = 200
    private static let limit = 100_000
    private static let members: Set<String> = [
        "action", "params", "request_id", "priority", "delay", "run_at", "deadline", "unique", "tags",
    ]

    /// Throws status 65 with the first line that cannot be read; nothing was stored then.
    static func requests(_ bytes: [UInt8], workspace: WorkspaceID, actor: String) throws -> [JobRequest] {
        var requests: [JobRequest] = []
        for (number, line) in bytes.split(separator: UInt8(ascii: "\n")).enumerated() {
            guard number < self.limit else {
                throw CommandError(.data, "the batch has more than \(self.limit) lines; expected several files")
            }
            do {
                requests.append(try self.request(Array(line), workspace, actor))
            } catch {
                throw CommandError(.data, "line \(number + 1) of the batch: \(error)")
            }
        }
        return requests
    }

    private static func request(_ line: [UInt8], _ workspace: WorkspaceID, _ actor: String) throws -> JobRequest {
        let value = try JSONParser.parse(line)
        guard let members = value.members else { throw CommandError(.data, "expected a JSON object") }
        if let stranger = members.first(where: { !self.members.contains($0.name) }) {
            throw CommandError(
                .data,
                "unknown member '\(Printable.text(stranger.name))'; expected \(self.members.sorted().joined(separator: ", "))"
            )
        }
        func text(_ name: String) throws -> String? {
            guard let member = value[name] else { return nil }
            guard let text = member.string else { throw CommandError(.data, "'\(name)': expected a text") }
            return text
        }
        guard let action = try text("action") else { throw CommandError(.data, "'action' is missing") }
        var delay: Int64?
        if let member = value["delay"] {
            guard case .integer(let seconds) = member else {
                throw CommandError(.data, "'delay': expected whole seconds")
            }
            delay = seconds
        }
        var tags: [String] = []
        if let member = value["tags"] {
            guard case .array(let items) = member, items.allSatisfy({ $0.string != nil }) else {
                throw CommandError(.data, "'tags': expected an array of texts")
            }
            tags = items.compactMap(\.string)
        }
        return JobRequest(
            workspace: workspace, action: try ActionName(action),
            requestID: try RequestID(try text("request_id") ?? UUID().uuidString),
            params: (value["params"] ?? .object([])).bytes, actor: actor,
            priority: try RequestText.priority(try text("priority") ?? "normal"),
            start: try RequestText.start(delay: delay, runAt: try text("run_at")),
            deadline: try text("deadline").map { try RequestText.time($0, "deadline") },
            uniqueKey: try text("unique").map(RequestText.uniqueKey), tags: try RequestText.tags(tags))
    }
}

extension JobRequest.Refusal {
    var commandError: CommandError {
        switch self.kind {
        case .notAllowed, .quarantined: CommandError(.notPermitted, self.message)
        case .unusable, .inUse: CommandError(.data, self.message)
        case .full: CommandError(.unavailable, self.message)
        }
    }
}

extension JobRequest.Answer {
    func accepted() throws -> (JobID, isDuplicate: Bool, state: JobState?) {
        switch self {
        case .accepted(let id, let isDuplicate, let state): return (id, isDuplicate, state)
        case .refused(let refusal): throw refusal.commandError
        }
    }

    /// The line of a batch's output.
    func line(of request: JobRequest) -> JSONValue {
        switch self {
        case .accepted(let id, let isDuplicate, let state):
            .object(
                [
                    JSONMember("request_id", .string(request.requestID.description)),
                    JSONMember("job_id", .string(id.description)), JSONMember("duplicate", .bool(isDuplicate)),
                ] + (state.map { [JSONMember("state", .string($0.rawValue))] } ?? []))
        case .refused(let refusal):
            ["request_id": .string(request.requestID.description), "error": .string(refusal.message)]
        }
    }
}
