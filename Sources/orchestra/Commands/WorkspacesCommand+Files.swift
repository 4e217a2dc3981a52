import ArgumentParser
import Domain
import Foundation
import Jobs
import SystemPackage

extension WorkspacesCommand {
    struct Get: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Brings files of a workspace out of this machine's sandbox, as a tar archive.",
            discussion: """
                tar runs in the workspace's sandbox, without network: a link comes out as a link, never as the file it
                points to. Owners are left out, and so are set-uid and set-gid bits. The archive goes to standard output, or
                whole or not at all to --file. Past a bound, or when a file cannot be read, the status is not 0; what
                standard output has by then is only a part. Files that change meanwhile are named by a note. The audit trail
                has two rows, before and after. A workspace in quarantine can be read.

                EXAMPLES
                  orchestra workspaces get acme > acme.tar
                  orchestra workspaces get acme src report.md --file acme.tar
                """)

        @OptionGroup var scope: WorkspaceScope
        @OptionGroup var transfer: TransferOptions
        @Argument(help: "The workspace's name.") var name: String
        @Argument(help: "Paths in the workspace; everything when there are none.") var paths: [String] = []
        @Option(help: "The file for the archive, instead of standard output.") var file: String?

        func run() async throws {
            try await reporting {
                try Host.refuseRoot()
                let (workspace, paths) = (try WorkspaceID(self.name), try TransferOptions.checked(self.paths))
                let context = try self.scope.context()
                let directory = try context.directory(of: workspace)
                guard Host.exists(directory) else {
                    throw CommandError(
                        .data,
                        "this machine has no files of the workspace '\(workspace)' (looked for \(directory)); run this on the node that has them, with its ORCHESTRA_STATE_DIRECTORY"
                    )
                }
                let transfer = try await self.transfer.transfer(directory, context, self.scope.common)
                let target = try ArchiveTarget(self.file)
                defer { target.abandon() }
                try await self.scope.withSession(context) { session, _ in
                    try await context.noteHome(of: workspace, session)
                    try await session.keys.verifyMaster()
                    try await session.audited(transfer, of: workspace, context).get(paths) { bytes in
                        try await target.write(bytes)
                    }
                    try target.finish()
                }
                let tally = transfer.counter.tally
                note("\(tally.entries) entries, \(tally.bytes) bytes of '\(workspace)'")
            }
        }
    }

    struct Put: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Brings the files of a tar archive into a workspace on this machine.",
            discussion: """
                The archive comes from standard input, or from --file, without compression. It is unpacked in the
                workspace's sandbox, as the workspace's user and without set-uid bits, into .orchestra-put next to the
                workspace's files. When all of it is there and within the bounds, its files replace those of the same
                names, and others stay. An archive with absolute names, '..', device nodes, links to files that it does not
                hold, files above the profile's limit, or a directory where the workspace has something else is refused as a
                whole, and nothing is changed. Only a full disk, a directory that may not be written, an agent that changes
                the same files, or the end of the machine in the last step can leave a part in place. A workspace in
                quarantine is refused: its files are evidence. The audit trail has two rows, before and after.

                EXAMPLES
                  tar --create --file=- src | orchestra workspaces put acme
                  orchestra workspaces put acme --file acme.tar
                """)

        @OptionGroup var scope: WorkspaceScope
        @OptionGroup var transfer: TransferOptions
        @Argument(help: "The workspace's name.") var name: String
        @Option(help: "The archive, instead of standard input.") var file: String?

        func run() async throws {
            try await reporting {
                try Host.refuseRoot()
                let workspace = try WorkspaceID(self.name)
                let context = try self.scope.context()
                let directory = try context.directory(of: workspace)
                let source = try self.source()
                defer { close(source) }
                let transfer = try await self.transfer.transfer(directory, context, self.scope.common)
                try await self.scope.withSession(context) { session, _ in
                    try await context.noteHome(of: workspace, session)
                    try await session.keys.verifyMaster()
                    let pump = DescriptorPump()
                    try await session.audited(transfer, of: workspace, context).put(from: {
                        do { return try await pump.next(from: source) } catch let error as Errno {
                            throw CommandError(.data, "the archive cannot be read: \(Host.reason(error.rawValue))")
                        }
                    })
                }
                let tally = transfer.counter.tally
                show("\(tally.entries) entries, \(tally.bytes) bytes into '\(workspace)'")
            }
        }

        private func source() throws -> Int32 {
            guard let file = self.file else {
                guard isatty(STDIN_FILENO) == 0 else {
                    throw CommandError(.usage, "standard input is a terminal; expected an archive, or --file")
                }
                return dup(STDIN_FILENO)
            }
            let descriptor = unsafe open(file, O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else {
                throw CommandError(.usage, "the file \(Printable.text(file)) cannot be read: \(Host.reason(errno))")
            }
            return descriptor
        }
    }
}

extension QueueSession {
    /// A transfer with its rows in the audit trail, by the user of this command line.
    fileprivate func audited(
        _ transfer: WorkspaceTransfer, of workspace: WorkspaceID, _ context: Context
    ) -> AuditedTransfer {
        AuditedTransfer(
            transfer, of: workspace, below: context.stateDirectory + "/workspaces", store: self.queue,
            actor: Host.actor, rule: "operator", note: { orchestra.note($0) })
    }
}

extension Context {
    /// Where the files of a workspace are on this machine; there may be none. Throws status 69 without a state directory.
    func directory(of workspace: WorkspaceID) throws -> String {
        guard Host.exists(self.stateDirectory) else {
            throw CommandError(
                .unavailable,
                "there is no state directory \(self.stateDirectory) on this machine; expected that of a node, in ORCHESTRA_STATE_DIRECTORY"
            )
        }
        return "\(self.stateDirectory)/workspaces/\(workspace)"
    }

    /// Says when jobs of the workspace see other files than those of this machine.
    fileprivate func noteHome(of workspace: WorkspaceID, _ session: QueueSession) async throws {
        guard !self.settings.isOn("workspaces.shared") else { return }
        let own = try self.node().name
        let homes = try await session.queue.homes()
        guard let home = homes.first(where: { $0.workspace == workspace.name && $0.isHome }) else {
            return note(
                "the workspace has no home; for jobs to see these files: orchestra workspaces home \(workspace) "
                    + "--node \(own)")
        }
        guard home.node != own else { return }
        note("jobs see the files of '\(workspace)' on its home '\(Printable.text(home.node))', and not on '\(own)'")
    }
}
