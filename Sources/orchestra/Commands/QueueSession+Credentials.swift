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
}
