import Audit
import Domain
import Jobs

extension QueueSession {
    /// The audit event for what the user of this command line did: to a job, a key, a workspace or a setting. `now` is the
    /// queue's time where it is known already.
    func event(
        _ kind: AuditEvent.Kind, of id: JobID? = nil, in workspace: WorkspaceID, action: String = "", status: String,
        reason: String = "", at now: UInt64? = nil
    ) async throws -> [UInt8] {
        let time: UInt64
        if let now { time = now } else { time = try await self.queue.time() }
        return AuditEvent(
            kind: kind, workspace: workspace, actor: Host.actor, action: action, jobID: id, status: status,
            rule: "operator", duration: .zero, errorReason: reason, paramsDigest: [], node: "", time: time
        ).encoded
    }

    /// Records a change that the operator makes, before it is made. Throws when the trail cannot be written.
    func note(
        _ kind: AuditEvent.Kind, _ subject: String, _ change: String, reason: String = "", in workspace: WorkspaceID,
        at now: UInt64
    ) async throws {
        try await self.keys.verifyMaster()
        let event = try await self.event(
            kind, in: workspace, action: subject, status: change, reason: reason, at: now)
        try await self.queue.appendAudit(event, of: workspace)
    }

    /// Runs a transfer of a workspace's files between two rows: that it is asked for, and how it ended with how much it
    /// moved. Throws what `body` throws, and when the trail cannot be written: before anything was moved, or with a
    /// message that says that it was.
    func recordFiles(
        _ action: String, in workspace: WorkspaceID, _ counter: TransferCounter, _ body: () async throws -> Void
    ) async throws {
        try await self.keys.verifyMaster()
        let start = ContinuousClock.now
        try await self.appendFiles(action, in: workspace, "asked", counter, since: start)
        do {
            try await body()
        } catch {
            let failure = CommandError(error)
            do {
                try await self.appendFiles(action, in: workspace, "failed", counter, failure.message, since: start)
            } catch let lost {
                orchestra.note("the audit trail lacks the end of this transfer: \(CommandError(lost).message)")
            }
            throw failure
        }
        do {
            try await self.appendFiles(action, in: workspace, "done", counter, since: start)
        } catch {
            throw CommandError(
                .unavailable,
                "the files were moved, and the audit trail lacks the end of the transfer: \(CommandError(error).message)"
            )
        }
    }

    private func appendFiles(
        _ action: String, in workspace: WorkspaceID, _ status: String, _ counter: TransferCounter,
        _ reason: String = "", since start: ContinuousClock.Instant
    ) async throws {
        let tally = counter.tally
        var event = AuditEvent(
            kind: .files, workspace: workspace, actor: Host.actor, action: action, jobID: nil, status: status,
            rule: "operator", duration: start.duration(to: .now), errorReason: reason, paramsDigest: [], node: "",
            time: try await self.queue.time())
        event.transfer = AuditEvent.Transfer(bytes: tally.bytes, entries: tally.entries)
        try await self.queue.appendAudit(event.encoded, of: workspace)
    }

    /// The quarantine of a workspace, nil when there is none.
    func quarantine(of workspace: WorkspaceID) async throws -> Quarantine? {
        try await self.queue.quarantined().first { $0.workspace == workspace.name }
    }

    /// Throws status 77 for a workspace in quarantine, whose files are to stay as they are.
    func refuseQuarantined(_ workspace: WorkspaceID) async throws {
        guard let quarantine = try await self.quarantine(of: workspace) else { return }
        throw CommandError(
            .notPermitted,
            "the workspace '\(workspace)' is in quarantine and its files stay as they are: \(Printable.text(quarantine.reason)); see: orchestra workspaces release \(workspace)"
        )
    }
}
