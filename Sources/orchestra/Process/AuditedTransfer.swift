import Agents
import Audit
import CLinux
import Domain
import Foundation
import Jobs
import NIOPosix
import Sandboxing

/// One transfer of a workspace's files, for the command line and for the API alike: with its two rows in the audit trail, its
/// lock, and what a quarantine means for it.
struct AuditedTransfer: Sendable {
    let transfer: WorkspaceTransfer
    let store: any JobStore
    let workspace: WorkspaceID
    /// The directory of the workspaces' directories.
    let root: String
    /// The row, without what only the end of the transfer shows.
    let row: AuditEvent
    /// Gets what went wrong besides the transfer.
    let note: @Sendable (String) -> Void

    private let files = FileSystemPool(.singleton)

    init(
        _ transfer: WorkspaceTransfer, of workspace: WorkspaceID, below root: String, store: any JobStore,
        actor: String, rule: String, node: String = "", note: @escaping @Sendable (String) -> Void,
        more: (inout AuditEvent) -> Void = { _ in }
    ) {
        self.transfer = transfer
        self.store = store
        self.workspace = workspace
        self.root = root
        var row = AuditEvent(
            kind: .files, workspace: workspace, actor: actor, action: "", jobID: nil, status: "", rule: rule,
            duration: .zero, errorReason: "", paramsDigest: [], node: node, time: 0)
        more(&row)
        self.row = row
        self.note = note
    }

    /// Gives an archive of the paths to `sink`, as `WorkspaceTransfer.get`; throws as that, and when the trail cannot be
    /// written: before anything was moved, or with a message that says that it was.
    func get(_ paths: [String], into sink: @escaping @Sendable ([UInt8]) async throws -> Void) async throws {
        if let quarantine = try await self.quarantine() {
            self.note("the workspace is in quarantine: \(Printable.text(quarantine.reason))")
        }
        try await self.recorded("get") {
            if try await self.transfer.get(paths, into: sink) {
                self.note("files changed meanwhile: \(self.transfer.counter.tally.problems)")
            }
        }
    }

    /// Puts the files of an archive in their place, all or none, as `WorkspaceTransfer.put`. Throws as that, with status 77 for
    /// a workspace in quarantine, with 69 while another transfer into it runs, and when the trail cannot be written.
    /// `admitted` is called before the first part is taken.
    func put(
        from source: @escaping @Sendable () async throws -> [UInt8],
        admitted: () async throws -> Void = {}
    ) async throws {
        let lock = try await self.lock()
        defer { close(lock) }
        try await self.recorded("put") {
            try await self.refuseQuarantined()
            try await admitted()
            let directory = "\(self.root)/\(self.workspace)"
            try await self.files.run { try HostFiles.makeDirectory(directory) }
            try await self.transfer.put(from: source, mayCommit: { try await self.refuseQuarantined() }) { reason in
                self.note("\(reason); the next put removes it")
            }
        }
    }

    /// Two at once would unpack into one directory, also on two nodes that share it. A descriptor that holds it until it is
    /// closed.
    private func lock() async throws -> Int32 {
        // No workspace's name begins with a dot.
        let (root, path) = (self.root, "\(self.root)/.put-\(self.workspace).lock")
        let result = try await self.files.run {
            try HostFiles.makeDirectory(root)
            return unsafe orc_lock_file(path)
        }
        guard result >= 0 else {
            throw CommandError(
                .unavailable,
                result == -EWOULDBLOCK
                    ? "another transfer into the workspace '\(self.workspace)' runs; wait for its end"
                    : "the lock file \(path) cannot be opened: \(Host.reason(-result))")
        }
        return result
    }

    // MARK: - Quarantine

    private func quarantine() async throws -> Quarantine? {
        try await self.store.quarantined().first { $0.workspace == self.workspace.name }
    }

    /// Throws status 77 for a workspace in quarantine, whose files are to stay as they are.
    private func refuseQuarantined() async throws {
        guard let quarantine = try await self.quarantine() else { return }
        throw CommandError(
            .notPermitted,
            "the workspace '\(self.workspace)' is in quarantine and its files stay as they are: \(Printable.text(quarantine.reason)); see: orchestra workspaces release \(self.workspace)"
        )
    }

    // MARK: - The audit trail

    /// Runs a transfer between two rows: that it is asked for, and how it ended with how much it moved. The second is written
    /// also when the caller is cancelled.
    private func recorded(_ action: String, _ body: () async throws -> Void) async throws {
        let start = ContinuousClock.now
        try await self.append(action, "asked", since: start)
        do {
            try await body()
        } catch {
            let reason = error is CancellationError ? "the client is gone" : CommandError(error).message
            do {
                try await withoutCancellation { () async throws in
                    try await self.append(action, "failed", reason, since: start)
                }
            } catch let lost {
                self.note("the audit trail lacks the end of this transfer: \(CommandError(lost).message)")
            }
            throw error
        }
        do {
            try await withoutCancellation { () async throws in try await self.append(action, "done", since: start) }
        } catch {
            throw CommandError(
                .unavailable,
                "the files were moved, and the audit trail lacks the end of the transfer: \(CommandError(error).message)"
            )
        }
    }

    private func append(
        _ action: String, _ status: String, _ reason: String = "", since start: ContinuousClock.Instant
    ) async throws {
        let tally = self.transfer.counter.tally
        var event = self.row
        event.action = action
        event.status = status
        event.errorReason = reason
        event.duration = start.duration(to: .now)
        event.time = try await self.store.time()
        event.transfer = AuditEvent.Transfer(bytes: tally.bytes, entries: tally.entries)
        try await self.store.appendAudit(event.encoded, of: self.workspace)
    }
}
