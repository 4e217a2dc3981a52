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
            abstract: "Lists the newest dead letters of the workspace, those that wait for a decision among them.",
            discussion: "EXAMPLES\n  orchestra dead list\n  orchestra dead list --limit 1000 --json")

        @OptionGroup var scope: WorkspaceScope
        @OptionGroup var output: OutputOptions
        @OptionGroup var length: ListLimit

        func run() async throws {
            try await reporting {
                let (limit, json) = (self.length.limit, self.output.json)
                try await self.scope.withSession { session, workspace in
                    let letters = try await session.queue.deadLetters(in: workspace, limit: limit)
                    if !json, letters.isEmpty { show("no dead letters in workspace '\(workspace)'") }
                    for letter in letters { show(json ? Self.json(letter).text : Self.line(letter)) }
                }
            }
        }

        private static func line(_ letter: DeadLetter) -> String {
            "\(letter.job)  \(letter.state.rawValue)  \(JobText.time(letter.since))  \(letter.action)  \(Printable.text(letter.reason, limit: 100))"
        }

        static func json(_ letter: DeadLetter) -> JSONValue {
            [
                "job_id": .string(letter.job.description), "state": .string(letter.state.rawValue),
                "action": .string(letter.action),
                "reason": .string(letter.reason), "since": .integer(Int64(clamping: letter.since)),
            ]
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Shows one dead letter with the output of its last run.",
            discussion: "EXAMPLE\n  orchestra dead show 0197f3a2-7c1e-7b52-9d0a-5a1f6f0c2b11")

        @OptionGroup var scope: WorkspaceScope
        @OptionGroup var output: OutputOptions
        @Argument(help: "The job's id.") var id: String

        func run() async throws {
            try await reporting {
                let (id, json) = (try JobID(self.id), self.output.json)
                try await self.scope.withSession { session, workspace in
                    guard let letter = try await session.queue.deadLetter(id, in: workspace) else {
                        throw notDead(id, workspace)
                    }
                    let output = try await JobText.result(
                        sealed: letter.sealedOutput, of: id, in: workspace, keys: session.keys)
                    show(json ? Self.json(letter, output).text : Self.page(letter, output))
                }
            }
        }

        private static func json(_ letter: DeadLetter, _ output: JSONValue?) -> JSONValue {
            .object((List.json(letter).members ?? []) + (output.map { [JSONMember("result", $0)] } ?? []))
        }

        private static func page(_ letter: DeadLetter, _ output: JSONValue?) -> String {
            let lines = [
                "job          \(letter.job)", "state        \(letter.state.rawValue)", "action       \(letter.action)",
                "reason       \(Printable.text(letter.reason, limit: 500))",
                "since        \(JobText.time(letter.since))",
            ]
            return (lines + (output.map { JobText.lines(of: $0) } ?? [])).joined(separator: "\n")
        }
    }

    struct Requeue: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Puts a dead letter back in line; its failures and crashes are forgotten.",
            discussion: "EXAMPLE\n  orchestra dead requeue 0197f3a2-7c1e-7b52-9d0a-5a1f6f0c2b11")

        @OptionGroup var scope: WorkspaceScope
        @Argument(help: "The job's id.") var id: String

        func run() async throws {
            try await decide(self.id, self.scope, .requeued, status: "available", "is back in line") {
                session, id, workspace, event in
                try await session.queue.requeue(id, in: workspace, auditEvent: event)
            }
        }
    }

    struct Drop: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Lets go of a dead letter; its record stays until its retention has passed.",
            discussion: "EXAMPLE\n  orchestra dead drop 0197f3a2-7c1e-7b52-9d0a-5a1f6f0c2b11")

        @OptionGroup var scope: WorkspaceScope
        @Argument(help: "The job's id.") var id: String

        func run() async throws {
            try await decide(self.id, self.scope, .dropped, status: "dropped", "is dropped") {
                session, id, workspace, event in
                try await session.queue.drop(id, in: workspace, auditEvent: event)
            }
        }
    }
}

/// Does to a dead letter what a person decided, with its audit event; status 65 when there is none.
private func decide(
    _ text: String, _ scope: WorkspaceScope, _ kind: AuditEvent.Kind, status: String, _ done: String,
    _ act: @escaping @Sendable (QueueSession, JobID, WorkspaceID, [UInt8]) async throws -> DeadLetterResult
) async throws {
    try await reporting {
        let id = try JobID(text)
        try await scope.withSession { session, workspace in
            let event = try await session.event(kind, of: id, in: workspace, status: status)
            switch try await act(session, id, workspace, event) {
            case .done: show("job \(id) \(done)")
            case .absent: throw notDead(id, workspace)
            case .isTaken:
                throw CommandError(
                    .data, "another job with the unique key of job \(id) has not ended; expected one at a time")
            case .isUnresolved:
                throw CommandError(
                    .data,
                    "the outcome of job \(id) is unknown; look whether it took effect, then: orchestra jobs resolve")
            }
        }
    }
}

private func notDead(_ id: JobID, _ workspace: WorkspaceID) -> CommandError {
    CommandError(.data, "there is no dead letter \(id) in workspace '\(workspace)'; see: orchestra dead list")
}
