import Audit
import Budgets
import Credentials
import Cryptography
import Domain
import Jobs

extension QueueSession {
    /// The store of API keys and of denied tokens, in the same Redis as the queue.
    func credentials() throws -> CredentialStore {
        CredentialStore(
            client: self.first, prefix: CredentialStore.standardPrefix,
            proofKey: try self.master.derived(for: CredentialStore.proofPurpose))
    }

    /// The store of credentials for services outside, in the same Redis.
    func providerCredentials() throws -> ProviderCredentialStore {
        try ProviderCredentialStore(client: self.first, master: self.master)
    }

    /// The budgets, in the same Redis.
    var budgets: BudgetStore { BudgetStore(client: self.first) }

    /// Records a change that the operator makes, before it is made.
    func note(
        _ kind: AuditEvent.Kind, _ subject: String, _ change: String, in workspace: WorkspaceID, at now: UInt64
    ) async throws {
        try await self.keys.verifyMaster()
        let event = AuditEvent(
            kind: kind, workspace: workspace, actor: Host.actor, action: subject, jobID: nil, status: change,
            rule: "operator", duration: .zero, errorReason: "", paramsDigest: [], node: "", time: now)
        try await self.queue.appendAudit(event.encoded, of: workspace)
    }
}
