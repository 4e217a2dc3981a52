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
                  orchestra jobs list --after 0197f3a2-7c1e-7b52-9d0a-5a1f6f0c2b11
                """)

        @OptionGroup var scope: WorkspaceScope
        @OptionGroup var output: OutputOptions
        @OptionGroup var length: ListLimit
        @Option(help: "Only jobs that were submitted with this tag.") var tag: String?
        @Option(help: ArgumentHelp("Only jobs older than this one, the last of a list before.", valueName: "id"))
        var after: String?

        func run() async throws {
            try await reporting {
                let (limit, json) = (self.length.limit, self.output.json)
                let (tag, after) = (try self.tag.map { try JobTag($0) }, try self.after.map { try JobID($0) })
                try await self.scope.withSession { session, workspace in
                    let jobs = try await session.queue.jobs(in: workspace, limit: limit, tag: tag, after: after)
                    if !json, jobs.isEmpty { show("no jobs in workspace '\(workspace)'") }
                    for job in jobs where json {
                        let progress = try await JobEnvelope.progress(of: job, in: workspace, keys: session.keys)
                        show(JobText.json(job, progress: progress).text)
                    }
                    for job in jobs where !json { show(JobText.line(job)) }
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
                    let terms = try await JobEnvelope.terms(of: job, in: workspace, keys: session.keys)
                    let progress = try await JobEnvelope.progress(of: job, in: workspace, keys: session.keys)
                    show(
                        json
                            ? JobText.json(job, progress: progress, terms: terms, result: result).text
                            : JobText.page(job, progress: progress, terms: terms, result: result))
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
                    case .completed?, .cancelled?, .discarded?, .unresolved?, .lost?:
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
                An action whose effect may not be repeated is not tried again by itself when its node died in the middle
                of it: it may have taken effect. Such a job waits as 'unresolved' until somebody looked.

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
