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
}
