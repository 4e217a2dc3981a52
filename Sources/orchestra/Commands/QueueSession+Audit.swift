import Audit
import Domain
import Foundation
import Jobs

extension QueueSession {
    /// The audit event for what the user of this command line did to a job.
    func event(
        _ kind: AuditEvent.Kind, of id: JobID, in workspace: WorkspaceID, status: String
    ) async throws -> [UInt8] {
        AuditEvent(
            kind: kind, workspace: workspace, actor: Host.actor, action: "", jobID: id, status: status,
            rule: "operator", duration: .zero, errorReason: "", paramsDigest: [], node: "",
            time: try await self.queue.time()
        ).encoded
    }
}
