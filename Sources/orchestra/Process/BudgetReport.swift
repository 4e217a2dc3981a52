import Audit
import Budgets
import Domain
import Jobs
import Logging
import ModelUsage

/// Reports shares of budgets that were reached: a line in the log, and a row in the audit trail.
struct BudgetReport: Sendable {
    let store: any JobStore
    let node: String
    let logger: Logger

    /// Reports one share. A row that cannot be written is missing from the trail and is in the log.
    func report(_ share: ReachedShare, at now: UInt64) async {
        let (threshold, workspace) = (share.threshold, WorkspaceID(ifValid: share.workspace))
        let counter = threshold.counter
        self.logger.warning(
            "a budget has reached a share",
            metadata: [
                "budget": "\(counter.limit)", "of": "\(counter.name)", "period": "\(counter.period)",
                "percent": "\(threshold.percent)", "workspace": "\(share.workspace)",
            ])
        let row = AuditEvent(
            kind: .budgetReached, workspace: workspace, actor: "node", action: counter.limit, jobID: nil,
            status: "\(threshold.percent)%", rule: "\(counter.name) \(counter.period)", duration: .zero,
            errorReason: "\(threshold.spent) of \(threshold.amount)", paramsDigest: [], node: self.node, time: now)
        do { try await self.store.appendAudit(row.encoded, of: workspace) } catch {
            self.logger.warning("a budget's row could not be written", metadata: ["reason": "\(error)"])
        }
    }
}
