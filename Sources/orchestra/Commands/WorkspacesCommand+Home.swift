import ArgumentParser
import Audit
import Domain
import Jobs

extension WorkspacesCommand {
    struct Home: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Shows, sets or ends the home of a workspace: the node whose disk holds its files.",
            discussion: """
                Its jobs run there. Files are not moved: copy the workspace's directory to the new home first. Without a
                home, the next node that has a free slot becomes it, and begins without files. Jobs that run go on where
                they are. Changes are in the audit trail.

                EXAMPLES
                  orchestra workspaces home acme
                  orchestra workspaces home acme --node worker-2
                  orchestra workspaces home acme --clear
                """)

        @OptionGroup var scope: WorkspaceScope
        @Argument(help: "The workspace's name.") var name: String
        @Option(help: "The node that is to be its home.") var node: String?
        @Flag(help: "Ends its home.") var clear = false

        func run() async throws {
            try await reporting {
                let workspace = try WorkspaceID(self.name)
                let node = try self.node.map { try NodeID($0) }
                guard node == nil || !self.clear else {
                    throw CommandError(.usage, "expected --node or --clear, not both")
                }
                let (context, clears) = (try self.scope.context(), self.clear)
                try await self.scope.withSession(context) { session, _ in
                    guard node != nil || clears else { return try await Self.showHome(workspace, session) }
                    guard !context.settings.isOn("workspaces.shared") else { throw Self.hasNoHomes }
                    do {
                        try await Self.change(workspace, to: node, session)
                    } catch let error as JobQueueError where error.code == .wrongFiles {
                        // The nodes' value counts, whatever this command has.
                        throw Self.hasNoHomes
                    }
                }
            }
        }

        private static let hasNoHomes = CommandError(
            .usage, "workspaces have no homes while workspaces.shared is yes on the nodes: any node runs their jobs")

        private static func showHome(_ workspace: WorkspaceID, _ session: QueueSession) async throws {
            guard let home = try await session.queue.homes().first(where: { $0.workspace == workspace.name }) else {
                return show("workspace '\(workspace)' has no home: the next node with a free slot becomes it")
            }
            show(home.line)
        }

        private static func change(
            _ workspace: WorkspaceID, to node: NodeID?, _ session: QueueSession
        ) async throws {
            let event = try await session.event(
                .homeChanged, in: workspace, status: node == nil ? "cleared" : "set", reason: node?.name ?? "")
            guard case .done(let files) = try await session.queue.setHome(node, of: workspace, auditEvent: event) else {
                throw CommandError(.data, "the workspace '\(workspace)' has no home")
            }
            let isElsewhere = !files.isEmpty && files != node?.name
            let origin = isElsewhere ? "; its files are on '\(Printable.text(files))'" : ""
            show(
                node.map { "the home of '\(workspace)' is '\($0)'\(origin)" }
                    ?? "the home of '\(workspace)' is the next node with a free slot; its files are on '\(Printable.text(files))'"
            )
            if let node, try await session.queue.homes().contains(where: { $0.node == node.name && !$0.isPresent }) {
                show("node '\(node)' is not there now: the jobs wait for it")
            }
            let running = try await session.queue.running(in: workspace).count
            if running > 0 { show("\(running) of its jobs run now, and go on where they are") }
        }
    }
}

extension WorkspaceHome {
    var isPresent: Bool { self.presence == .present }

    /// The home as a line of `orchestra workspaces list`.
    var line: String {
        let node = Printable.text(self.node)
        guard self.isHome else { return "\(self.workspace)  no home, files on \(node)" }
        switch self.presence {
        case .present: return "\(self.workspace)  home \(node)"
        case .away(let since):
            return "\(self.workspace)  home \(node), away\(since > 0 ? " since \(RFC3339.text(of: since))" : "")"
        }
    }

    var json: JSONValue {
        var members = [
            JSONMember("workspace", .string(self.workspace)), JSONMember("home", .string(self.node)),
            JSONMember("is_home", .bool(self.isHome)), JSONMember("is_present", .bool(self.isPresent)),
        ]
        if case .away(let since) = self.presence, since > 0 {
            members.append(JSONMember("away_since", .string(RFC3339.text(of: since))))
        }
        return .object(members)
    }
}
