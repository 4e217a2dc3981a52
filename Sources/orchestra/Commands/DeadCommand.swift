import ArgumentParser
import Audit
import Domain
import Foundation
import Jobs

struct DeadCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dead", abstract: "Dead letters: jobs that were given up on and wait for a person.",
        subcommands: [List.self, Show.self, Requeue.self, Drop.self], defaultSubcommand: List.self)

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Lists the newest dead letters of the workspace.",
            discussion: "EXAMPLES\n  orchestra dead list\n  orchestra dead list --limit 1000 --json")

        @OptionGroup var common: CommonOptions
        @OptionGroup var output: OutputOptions
        @Option(help: "At most this many, from 1 to 10000.") var limit = 20
        @Option(help: "The workspace (also ORCHESTRA_WORKSPACE).") var workspace: String?

        func run() async throws {
            try await reporting {
                guard (1...10_000).contains(self.limit) else {
                    throw CommandError(.usage, "--limit \(self.limit): expected 1 to 10000")
                }
                let (limit, json) = (self.limit, self.output.json)
                try await inWorkspace(self.common, self.workspace) { session, workspace in
                    let letters = try await session.queue.deadLetters(in: workspace, limit: limit)
                    if !json, letters.isEmpty { show("no dead letters in workspace '\(workspace)'") }
                    for letter in letters { show(json ? Self.json(letter).text : Self.line(letter)) }
                }
            }
        }

        private static func line(_ letter: DeadLetter) -> String {
            "\(letter.job)  \(JobText.time(letter.since))  \(letter.action)  \(Printable.text(letter.reason, limit: 100))"
        }

        private static func json(_ letter: DeadLetter) -> JSONValue {
            [
                "job_id": .string(letter.job.description), "action": .string(letter.action),
                "reason": .string(letter.reason), "since": .integer(Int64(clamping: letter.since)),
            ]
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Shows one dead letter with the output of its last run.",
            discussion: "EXAMPLE\n  orchestra dead show 0197f3a2-7c1e-7b52-9d0a-5a1f6f0c2b11")

        @OptionGroup var common: CommonOptions
        @OptionGroup var output: OutputOptions
        @Argument(help: "The job's id.") var id: String
        @Option(help: "The workspace (also ORCHESTRA_WORKSPACE).") var workspace: String?

        func run() async throws {
            try await reporting {
                let (id, json) = (try JobID(self.id), self.output.json)
                try await inWorkspace(self.common, self.workspace) { session, workspace in
                    let letters = try await session.queue.deadLetters(in: workspace, limit: 10_000)
                    guard let letter = letters.first(where: { $0.job == id }) else { throw notDead(id, workspace) }
                    var result: JSONValue?
                    if !letter.sealedOutput.isEmpty {
                        let plain = try await JobEnvelope.open(
                            result: letter.sealedOutput, workspace: workspace, job: id, keys: session.keys)
                        result = try? JSONParser.parse(plain)
                    }
                    guard let record = try await session.queue.job(id, in: workspace) else {
                        // Its record has passed its retention; the letter has not.
                        return show("job          \(id)\naction       \(letter.action)\nreason       \(letter.reason)")
                    }
                    show(json ? JobText.json(record, result: result).text : JobText.page(record, result: result))
                }
            }
        }
    }

    struct Requeue: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Puts a dead letter back in line; its failures and crashes are forgotten.",
            discussion: "EXAMPLE\n  orchestra dead requeue 0197f3a2-7c1e-7b52-9d0a-5a1f6f0c2b11")

        @OptionGroup var common: CommonOptions
        @Argument(help: "The job's id.") var id: String
        @Option(help: "The workspace (also ORCHESTRA_WORKSPACE).") var workspace: String?

        func run() async throws {
            try await reporting {
                let id = try JobID(self.id)
                try await inWorkspace(self.common, self.workspace) { session, workspace in
                    let event = try await jobEvent(.requeued, id, workspace, status: "available", session)
                    guard try await session.queue.requeue(id, in: workspace, auditEvent: event) else {
                        throw notDead(id, workspace)
                    }
                    show("job \(id) is back in line")
                }
            }
        }
    }

    struct Drop: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Lets go of a dead letter; its record stays until its retention has passed.",
            discussion: "EXAMPLE\n  orchestra dead drop 0197f3a2-7c1e-7b52-9d0a-5a1f6f0c2b11")

        @OptionGroup var common: CommonOptions
        @Argument(help: "The job's id.") var id: String
        @Option(help: "The workspace (also ORCHESTRA_WORKSPACE).") var workspace: String?

        func run() async throws {
            try await reporting {
                let id = try JobID(self.id)
                try await inWorkspace(self.common, self.workspace) { session, workspace in
                    let event = try await jobEvent(.dropped, id, workspace, status: "dropped", session)
                    guard try await session.queue.drop(id, in: workspace, auditEvent: event) else {
                        throw notDead(id, workspace)
                    }
                    show("job \(id) is dropped")
                }
            }
        }
    }
}

private func notDead(_ id: JobID, _ workspace: WorkspaceID) -> CommandError {
    CommandError(.data, "there is no dead letter \(id) in workspace '\(workspace)'; see: orchestra dead list")
}

/// Runs the body with a session for the workspace that the options name.
func inWorkspace(
    _ common: CommonOptions, _ workspace: String?,
    _ body: @escaping @Sendable (QueueSession, WorkspaceID) async throws -> Void
) async throws {
    let context = try common.context(extra: workspace.map { ["workspace": $0] } ?? [:])
    let id = try context.workspace()
    try await QueueSession.with(context) { try await body($0, id) }
}

/// What a person did to a job, for the audit trail.
func jobEvent(
    _ kind: AuditEvent.Kind, _ id: JobID, _ workspace: WorkspaceID, status: String, _ session: QueueSession
) async throws -> [UInt8] {
    AuditEvent(
        kind: kind, workspace: workspace, actor: "cli:\(NSUserName())", action: "", jobID: id, status: status,
        rule: "operator", duration: .zero, errorReason: "", paramsDigest: [], node: "",
        time: try await session.queue.time()
    ).encoded
}
