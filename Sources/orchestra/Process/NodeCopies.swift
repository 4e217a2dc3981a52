import Agents
import CLinux
import Domain
import Foundation
import Jobs
import Logging
import Policy
import Sandboxing
import SystemPackage
import Worker

/// Copies of workspaces' files in a directory that all nodes see. Each workspace has a directory of its own there: archives,
/// and a note that names the one that counts. It is replaced when an archive is whole, so that there is always a whole copy.
///
/// Each node remembers next to its workspaces which copies its files come from or are in. A copy that it does not know is
/// another node's, which was the workspace's home meanwhile.
struct NodeCopies: WorkspaceCopies {
    let context: Context
    let agents: AgentConfiguration
    let store: any JobStore
    let node: String
    /// The directory that all nodes see.
    let directory: String
    let logger: Logger

    private static let limits = TransferTally.Limits(bytes: 1 << 34, entries: 1_000_000, time: .seconds(600))
    private static let noteLimit = 4096

    /// What names the archive that counts.
    private struct Note {
        let id: String
        let node: String
        /// Milliseconds since the epoch by the queue's clock, at which it was begun.
        let time: UInt64

        var bytes: [UInt8] {
            JSONValue.object([
                JSONMember("id", .string(self.id)), JSONMember("node", .string(self.node)),
                JSONMember("time", .integer(Int64(clamping: self.time))),
            ]).bytes
        }
    }

    // MARK: - The last copy

    func take(_ workspace: WorkspaceID) async throws(AgentError) {
        do {
            try await self.takeLast(workspace)
        } catch {
            throw AgentError(
                code: .hostUnavailable,
                message: "the copy of the files of '\(workspace)' could not be taken: \(CommandError(error).message)")
        }
    }

    private func takeLast(_ workspace: WorkspaceID) async throws {
        let (known, note) = try await self.agents.files.run {
            (try self.known(workspace), try self.note(of: workspace))
        }
        guard let note, !known.contains(note.id) else { return }
        let time = try await self.store.time()
        let archive = try await self.agents.files.run {
            try unsafe FileDescriptor.open(self.archive(workspace, note.id), .readOnly, options: .closeOnExec)
        }
        defer { close(archive.rawValue) }
        try await self.agents.files.run { try self.setAside(workspace, at: time) }
        let pump = DescriptorPump()
        try await self.transfer(workspace).put(from: { try await pump.next(from: archive.rawValue) })
        try await self.agents.files.run { try self.remember([note.id], of: workspace) }
        self.logger.notice(
            "took the last copy of a workspace's files",
            metadata: [
                "workspace.id": "\(workspace)", "node.id": "\(Printable.text(note.node))",
                "age.seconds": "\(time > note.time ? (time - note.time) / 1000 : 0)",
            ])
    }

    /// Gives files of an earlier time here another name: nobody else may have what was never copied. No workspace's name
    /// begins with a dot.
    private func setAside(_ workspace: WorkspaceID, at time: UInt64) throws {
        let path = "\(self.agents.workspaces)/\(workspace)"
        guard try HostFiles.names(in: path)?.isEmpty == false else { return }
        let aside = "\(self.agents.workspaces)/.replaced-\(workspace)-\(time)"
        guard unsafe rename(path, aside) == 0 else { throw HostFileError("renamed", path, code: errno) }
        self.logger.notice(
            "files of a workspace from before its last copy were set aside",
            metadata: ["workspace.id": "\(workspace)", "path": "\(aside)"])
    }

    // MARK: - A new copy

    func make(_ workspace: WorkspaceID) async throws {
        let directory = self.directory(workspace)
        let lock = try await self.agents.files.run {
            try HostFiles.makeDirectory(directory)
            let lock = unsafe orc_lock_file("\(directory)/.lock")
            guard lock >= 0 else { throw HostFileError("locked", "\(directory)/.lock", code: -lock) }
            return lock
        }
        defer { close(lock) }
        guard try await self.isHome(of: workspace) else { return }
        let (known, last) = try await self.agents.files.run {
            (try self.known(workspace), try self.note(of: workspace))
        }
        // Another node's, whose files this one has not got: its own are older.
        if let last, !known.contains(last.id) { return }
        let note = Note(id: UUID().uuidString.lowercased(), node: self.node, time: try await self.store.time())
        let target = try ArchiveTarget(self.archive(workspace, note.id))
        defer { target.abandon() }
        try await self.transfer(workspace).get([]) { try await target.write($0) }
        try await self.agents.files.run { try target.finish() }
        guard try await self.isHome(of: workspace) else { return }
        try await self.agents.files.run {
            // Before the note: a node that ends in between knows both.
            try self.remember([note.id] + (last.map { [$0.id] } ?? []), of: workspace)
            try HostFiles.replace(self.notePath(workspace), with: note.bytes, isSynced: true)
            try self.removeArchives(of: workspace, except: note.id)
        }
    }

    /// Whether jobs of the workspace run here: where another node is its home, its copy is the newer one.
    private func isHome(of workspace: WorkspaceID) async throws -> Bool {
        try await self.store.homes().contains {
            $0.workspace == workspace.name && $0.isHome && $0.node == self.node
        }
    }

    private func removeArchives(of workspace: WorkspaceID, except id: String) throws {
        for name in try HostFiles.names(in: self.directory(workspace)) ?? []
        where name.contains(".tar") && name != "\(id).tar" {
            let path = "\(self.directory(workspace))/\(name)"
            guard unsafe unlink(path) == 0 else { throw HostFileError("removed", path, code: errno) }
        }
    }

    // MARK: - Files

    private func directory(_ workspace: WorkspaceID) -> String { "\(self.directory)/\(workspace)" }
    private func archive(_ workspace: WorkspaceID, _ id: String) -> String { "\(self.directory(workspace))/\(id).tar" }
    private func notePath(_ workspace: WorkspaceID) -> String { "\(self.directory(workspace))/copy.json" }
    private func recordPath(_ workspace: WorkspaceID) -> String { "\(self.agents.workspaces)/.copy-\(workspace)" }

    private func note(of workspace: WorkspaceID) throws -> Note? {
        let path = self.notePath(workspace)
        guard let bytes = try HostFiles.contents(of: path, limit: Self.noteLimit) else { return nil }
        let value = try JSONParser.parse(bytes)
        guard let id = value["id"]?.string, UUID(uuidString: id) != nil, let node = value["node"]?.string else {
            throw CommandError(.data, "\(path) is malformed; expected the note of a copy")
        }
        return Note(id: id, node: node, time: UInt64(clamping: value["time"]?.integer ?? 0))
    }

    /// The copies that this node's files come from or are in.
    private func known(_ workspace: WorkspaceID) throws -> [String] {
        let bytes = try HostFiles.contents(of: self.recordPath(workspace), limit: Self.noteLimit) ?? []
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
    }

    private func remember(_ ids: [String], of workspace: WorkspaceID) throws {
        try HostFiles.replace(
            self.recordPath(workspace), with: Array(ids.joined(separator: "\n").utf8), isSynced: true)
    }

    private func transfer(_ workspace: WorkspaceID) throws -> AuditedTransfer {
        if let reason = self.agents.gate?.pauseReason {
            throw CommandError(.unavailable, "programs may not run on this node now: \(Printable.text(reason))")
        }
        let logger = self.logger
        return AuditedTransfer(
            try WorkspaceTransfer(
                of: "\(self.agents.workspaces)/\(workspace)", self.context, profile: try DefinitionName("default"),
                tier: self.agents.plan.tier, limits: Self.limits),
            of: workspace, below: self.agents.workspaces, store: self.store, actor: "node", rule: "workspaces.copies",
            node: self.node,
            note: { note in
                logger.notice(
                    "a copy of a workspace's files has a note",
                    metadata: ["workspace.id": "\(workspace)", "reason": "\(note)"])
            })
    }
}
