import ArgumentParser
import Audit
import Domain
import Foundation
import Jobs

struct WorkspacesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "workspaces",
        abstract: "Weights, limits, homes, quarantines and files of workspaces.",
        subcommands: [
            List.self, Set.self, Clear.self, Home.self, Quarantine.self, Release.self, Get.self, Put.self,
        ],
        defaultSubcommand: List.self)

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Lists the workspaces that have a weight, limits or a home.",
            discussion: "EXAMPLE\n  orchestra workspaces list --json")

        @OptionGroup var scope: WorkspaceScope
        @OptionGroup var output: OutputOptions

        func run() async throws {
            try await reporting {
                let json = self.output.json
                try await self.scope.withSession { session, _ in
                    let loads = try await session.queue.workspaceLimits()
                    if !json, loads.isEmpty { show("all workspaces have weight 1 and no limits") }
                    for load in loads { show(json ? Self.json(load).text : Self.line(load)) }
                    for home in try await session.queue.homes() { show(json ? home.json.text : home.line) }
                    for quarantine in try await session.queue.quarantined() {
                        let line: JSONValue = [
                            "workspace": .string(quarantine.workspace), "quarantine": .string(quarantine.reason),
                        ]
                        show(
                            json
                                ? line.text
                                : "\(quarantine.workspace)  in quarantine: \(Printable.text(quarantine.reason))")
                    }
                }
            }
        }

        private static func line(_ load: WorkspaceLoad) -> String {
            let limits = load.limits
            let rate = limits.rate.map { "\($0.count) in \($0.period.components.seconds) s" } ?? "any"
            return
                "\(load.workspace)  weight \(limits.weight)  at once \(limits.concurrency.map(String.init) ?? "any")  "
                + "starts \(rate)  running \(load.running)"
        }

        private static func json(_ load: WorkspaceLoad) -> JSONValue {
            [
                "workspace": .string(load.workspace), "weight": .integer(Int64(load.limits.weight)),
                "concurrency": load.limits.concurrency.map { .integer(Int64($0)) } ?? .null,
                "rate": load.limits.rate.map { .integer(Int64($0.count)) } ?? .null,
                "period_seconds": load.limits.rate.map { .integer($0.period.components.seconds) } ?? .null,
                "running": .integer(Int64(load.running)),
            ]
        }
    }

    struct Set: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Sets a workspace's weight and limits; what is left out is no limit.",
            discussion: """
                They are stored in Redis next to the jobs and hold from the next claim on: after Redis was emptied they
                have to be set again.

                EXAMPLES
                  orchestra workspaces set acme --weight 3
                  orchestra workspaces set acme --concurrency 10 --rate 100 --period 60
                """)

        @OptionGroup var scope: WorkspaceScope
        @Argument(help: "The workspace's name.") var name: String
        @Option(help: "Its share of the nodes next to others that have work too, 1 to 100.") var weight = 1
        @Option(help: "Jobs that run at once on all nodes.") var concurrency: Int?
        @Option(help: "Jobs that may start in each period.") var rate: Int?
        @Option(help: "The period in seconds, 1 to 86400.") var period: Int64 = 60

        func run() async throws {
            try await reporting {
                let workspace = try WorkspaceID(self.name)
                var rate: WorkspaceLimits.Rate?
                if let count = self.rate {
                    rate = WorkspaceLimits.Rate(count: count, period: .seconds(self.period))
                    guard rate != nil else {
                        throw CommandError(.usage, "expected --rate from 1 to 1000000 and --period from 1 to 86400")
                    }
                }
                guard let limits = WorkspaceLimits(weight: self.weight, concurrency: self.concurrency, rate: rate)
                else {
                    throw CommandError(.usage, "expected --weight from 1 to 100 and --concurrency from 1 to 1000000")
                }
                try await set(limits, of: workspace, self.scope, "set")
            }
        }
    }

    struct Clear: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Takes a workspace's weight and limits away.",
            discussion: "EXAMPLE\n  orchestra workspaces clear acme")

        @OptionGroup var scope: WorkspaceScope
        @Argument(help: "The workspace's name.") var name: String

        func run() async throws {
            try await reporting { try await set(nil, of: try WorkspaceID(self.name), self.scope, "cleared") }
        }
    }
}

extension WorkspacesCommand {
    struct Quarantine: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Lets a workspace do nothing more until somebody has looked.",
            discussion: """
                New requests are refused, waiting jobs wait, on all nodes. What runs goes on; --kill ends it, with its
                agents' whole trees. Both are in the audit trail.

                EXAMPLE
                  orchestra workspaces quarantine acme --reason 'agent seen outside' --kill
                """)

        @OptionGroup var scope: WorkspaceScope
        @Argument(help: "The workspace's name.") var name: String
        @Option(help: "Why, for the operators.") var reason: String
        @Flag(help: "Ends what runs.") var kill = false

        func run() async throws {
            try await reporting {
                let (workspace, reason, kills) = (try WorkspaceID(self.name), self.reason, self.kill)
                try await self.scope.withSession { session, _ in
                    let event = try await session.event(
                        .quarantined, in: workspace, status: "done", reason: reason)
                    let isNew = try await session.queue.quarantine(workspace, reason: reason, auditEvent: event)
                    show("workspace '\(workspace)' is in quarantine\(isNew ? "" : ", as it was before")")
                    guard kills else { return }
                    for job in try await session.queue.running(in: workspace) {
                        let request = try await session.event(
                            .cancelRequested, of: job, in: workspace, status: "requested")
                        let outcome = try await session.event(.outcome, of: job, in: workspace, status: "cancelled")
                        _ = try await session.queue.cancel(job, in: workspace, request: request, outcome: outcome)
                        show("job \(job) is being ended by its node")
                    }
                }
            }
        }
    }

    struct Release: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Lets a workspace in quarantine go on.",
            discussion: "EXAMPLE\n  orchestra workspaces release acme")

        @OptionGroup var scope: WorkspaceScope
        @Argument(help: "The workspace's name.") var name: String

        func run() async throws {
            try await reporting {
                let workspace = try WorkspaceID(self.name)
                try await self.scope.withSession { session, _ in
                    let event = try await session.event(.released, in: workspace, status: "done")
                    guard try await session.queue.quarantine(workspace, reason: nil, auditEvent: event) else {
                        throw CommandError(.data, "the workspace '\(workspace)' is not in quarantine")
                    }
                    show("workspace '\(workspace)' goes on")
                }
            }
        }
    }
}

private func set(
    _ limits: WorkspaceLimits?, of workspace: WorkspaceID, _ scope: WorkspaceScope, _ done: String
) async throws {
    try await scope.withSession { session, _ in
        let event = try await session.event(.limitsSet, in: workspace, status: done)
        try await session.queue.setLimits(limits, of: workspace, auditEvent: event)
        show("the limits of '\(workspace)' are \(done)")
    }
}
