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
}
