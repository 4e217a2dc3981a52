import ArgumentParser
import Audit
import Domain
import Foundation
import Jobs

struct JobsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "jobs", abstract: "Shows, cancels and resolves jobs of the workspace.",
        subcommands: [List.self, Show.self, Cancel.self, Resolve.self],
        defaultSubcommand: List.self)

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Lists the newest jobs.",
            discussion: """
                EXAMPLES
                  orchestra jobs list
                  orchestra jobs list --limit 100 --json
                  orchestra jobs list --tag nightly
                """)

        @OptionGroup var scope: WorkspaceScope
        @OptionGroup var output: OutputOptions
        @OptionGroup var length: ListLimit
        @Option(help: "Only jobs that were submitted with this tag.") var tag: String?

        func run() async throws {
            try await reporting {
                let (limit, json) = (self.length.limit, self.output.json)
                let tag = try self.tag.map { try JobTag($0) }
                try await self.scope.withSession { session, workspace in
                    let jobs = try await session.queue.jobs(in: workspace, limit: limit, tag: tag)
                    if !json, jobs.isEmpty { show("no jobs in workspace '\(workspace)'") }
                    for job in jobs { show(json ? JobText.json(job).text : JobText.line(job)) }
                }
            }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Shows one job with its result.",
            discussion: """
                EXAMPLE
                  orchestra jobs show 0197f3a2-7c1e-7b52-9d0a-5a1f6f0c2b11
                """)

        @OptionGroup var scope: WorkspaceScope
        @OptionGroup var output: OutputOptions
        @Argument(help: "The job's id, as submit printed it.") var id: String

        func run() async throws {
            try await reporting {
                let id = try JobID(self.id)
                let json = self.output.json
                try await self.scope.withSession { session, workspace in
                    guard let job = try await session.queue.job(id, in: workspace) else {
                        throw CommandError(
                            .data,
                            "there is no job \(id) in workspace '\(workspace)', or it is older than the retention")
                    }
                    let result = try await JobText.result(of: job, in: workspace, keys: session.keys)
                    show(json ? JobText.json(job, result: result).text : JobText.page(job, result: result))
                }
            }
        }
    }
}

extension JobsCommand {
    struct Cancel: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Cancels a job, queued or running, on whatever node.",
            discussion: """
                A queued job ends at once. A running one is ended by its node within a second or so, with its whole
                process tree; --wait waits for that. What ended before stays as it is.

                EXAMPLE
                  orchestra jobs cancel 0197f3a2-7c1e-7b52-9d0a-5a1f6f0c2b11 --wait
                """)

        @OptionGroup var scope: WorkspaceScope
        @Argument(help: "The job's id.") var id: String
        @Flag(help: "Waits until a running job has ended.") var wait = false

        func run() async throws {
            try await reporting {
                let (id, waits) = (try JobID(self.id), self.wait)
                try await self.scope.withSession { session, workspace in
                    let request = try await session.event(.cancelRequested, of: id, in: workspace, status: "requested")
                    let outcome = try await session.event(.outcome, of: id, in: workspace, status: "cancelled")
                    let before = try await session.queue.cancel(
                        id, in: workspace, request: request, outcome: outcome)
                    switch before {
                    case nil: throw CommandError(.data, "there is no job \(id) in workspace '\(workspace)'")
                    case .completed?, .cancelled?, .discarded?, .unresolved?:
                        show("job \(id) had ended before: \(before?.rawValue ?? "")")
                    case .running?:
                        show("job \(id) is being cancelled by its node")
                        guard waits else { return }
                        let watcher = JobWatcher(session: session, workspace: workspace, agents: nil, json: false)
                        _ = try await watcher.watch(id)
                    case .scheduled?, .available?, .retryable?: show("job \(id) is cancelled")
                    }
                }
            }
        }
    }
}

extension JobsCommand {
    struct Resolve: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Says what became of a job whose outcome is unknown.",
            discussion: """
                An action with effects outside is not tried again by itself when its node died or its time was up in
                the middle of it: it may have taken effect. Such a job waits as 'unresolved' until somebody looked.

                EXAMPLES
                  orchestra jobs resolve 0197f3a2-7c1e-7b52-9d0a-5a1f6f0c2b11 --as done
                  orchestra jobs resolve 0197f3a2-7c1e-7b52-9d0a-5a1f6f0c2b11 --as retry
                """)

        @OptionGroup var scope: WorkspaceScope
        @Argument(help: "The job's id.") var id: String
        @Option(
            name: .customLong("as"),
            help: "done: it took effect; failed: it did not, and stays so; retry: it did not, and is run again.")
        var resolution: String

        func run() async throws {
            try await reporting {
                let id = try JobID(self.id)
                guard let resolution = Resolution(rawValue: self.resolution) else {
                    throw CommandError(
                        .usage, "--as \(Printable.text(self.resolution)): expected done, failed or retry")
                }
                try await self.scope.withSession { session, workspace in
                    let event = try await session.event(
                        .resolved, of: id, in: workspace, status: resolution.state.rawValue)
                    let isResolved = try await session.queue.resolve(
                        id, in: workspace, as: resolution, reason: "resolved by a person: \(resolution.rawValue)",
                        auditEvent: event)
                    guard isResolved else {
                        throw CommandError(
                            .data,
                            "no job \(id) of workspace '\(workspace)' waits for a decision; see: orchestra dead list")
                    }
                    show("job \(id) is \(resolution.state.rawValue)")
                }
            }
        }
    }
}

/// A job's record for people and for programs.
enum JobText {
    static func result(of job: JobRecord, in workspace: WorkspaceID, keys: WorkspaceKeyring) async throws -> JSONValue?
    {
        try await self.result(sealed: job.sealedResult, of: job.id, in: workspace, keys: keys)
    }

    /// Nil when there is none, or it is no JSON.
    static func result(
        sealed: [UInt8], of job: JobID, in workspace: WorkspaceID, keys: WorkspaceKeyring
    ) async throws -> JSONValue? {
        guard !sealed.isEmpty else { return nil }
        let plain = try await JobEnvelope.open(result: sealed, workspace: workspace, job: job, keys: keys)
        return try? JSONParser.parse(plain)
    }

    static func line(_ job: JobRecord) -> String {
        let state = job.state.rawValue.padding(toLength: 10, withPad: " ", startingAt: 0)
        let reason = job.reason.isEmpty ? "" : "  \(Printable.text(job.reason, limit: 60))"
        return "\(job.id)  \(state)  \(self.time(job.submittedAt))  \(job.action)\(reason)"
    }

    /// `shown` names members of the result that the person has seen already.
    static func page(_ job: JobRecord, result: JSONValue?, shown: Set<String> = []) -> String {
        var lines = ["job          \(job.id)", "action       \(job.action)", "state        \(job.state.rawValue)"]
        if !job.reason.isEmpty { lines.append("reason       \(Printable.text(job.reason, limit: 500))") }
        lines.append("submitted    \(self.time(job.submittedAt))")
        if job.startedAt > 0 { lines.append("started      \(self.time(job.startedAt))") }
        if job.finishedAt > 0 { lines.append("finished     \(self.time(job.finishedAt))") }
        if !job.node.isEmpty { lines.append("node         \(Printable.text(job.node))") }
        if job.failures + job.crashes > 0 { lines.append("failures     \(job.failures), crashes \(job.crashes)") }
        if !job.tags.isEmpty { lines.append("tags         \(Printable.text(job.tags.joined(separator: ", ")))") }
        if let progress = job.progress {
            lines.append("progress     \(progress.percent) % \(progress.text) (\(self.time(progress.time)))")
        }
        if let result { lines += self.lines(of: result, shown: shown) }
        return lines.joined(separator: "\n")
    }

    /// A result, a line or a block for each member.
    static func lines(of result: JSONValue, shown: Set<String> = []) -> [String] {
        var lines: [String] = []
        for member in result.members ?? [JSONMember("result", result)] where !shown.contains(member.name) {
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

    static func json(_ job: JobRecord, result: JSONValue? = nil) -> JSONValue {
        var members: [JSONMember] = [
            JSONMember("job_id", .string(job.id.description)), JSONMember("action", .string(job.action)),
            JSONMember("state", .string(job.state.rawValue)),
            JSONMember("submitted_at", .integer(Int64(clamping: job.submittedAt))),
            JSONMember("started_at", .integer(Int64(clamping: job.startedAt))),
            JSONMember("finished_at", .integer(Int64(clamping: job.finishedAt))),
            JSONMember("failures", .integer(Int64(job.failures))), JSONMember("crashes", .integer(Int64(job.crashes))),
            JSONMember("node", .string(job.node)), JSONMember("reason", .string(job.reason)),
        ]
        members.append(JSONMember("tags", .array(job.tags.map { .string($0) })))
        if let progress = job.progress {
            let value: JSONValue = [
                "percent": .integer(Int64(progress.percent)), "text": .string(progress.text),
                "time": .integer(Int64(clamping: progress.time)),
            ]
            members.append(JSONMember("progress", value))
        }
        if let result { members.append(JSONMember("result", result)) }
        return .object(members)
    }

    static func time(_ milliseconds: UInt64) -> String {
        RFC3339.secondsText(of: milliseconds)
    }
}

/// Makes an agent's output safe to show: no escape sequence of it reaches the person's own terminal.
enum TerminalText {
    static func plain(_ text: String) -> String {
        var result = String.UnicodeScalarView()
        var scalars = Substring(text).unicodeScalars
        while let scalar = scalars.popFirst() {
            switch scalar {
            case "\u{1b}": self.skipSequence(&scalars)
            case "\n", "\t": result.append(scalar)
            case "\r": break
            default:
                let isControl = scalar.value < 0x20 || (0x7f...0x9f).contains(scalar.value)
                if !isControl { result.append(scalar) }
            }
        }
        return String(result)
    }

    /// Drops the rest of a CSI, OSC or two-character sequence (ECMA-48 §5.4).
    private static func skipSequence(_ scalars: inout Substring.UnicodeScalarView) {
        guard let kind = scalars.popFirst() else { return }
        if kind == "[" {
            while let scalar = scalars.popFirst(), !(0x40...0x7e).contains(scalar.value) {}
        } else if kind == "]" || kind == "P" || kind == "_" || kind == "^" {
            while let scalar = scalars.popFirst() {
                if scalar == "\u{07}" { return }
                if scalar == "\u{1b}" {
                    _ = scalars.popFirst()
                    return
                }
            }
        }
    }
}
