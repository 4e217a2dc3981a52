package import Cryptography
package import Domain
internal import NIOCore
package import Redis

/// The credentials of workspaces for services outside, sealed, in the Redis of the first lane.
///
/// Each is sealed with a key that is derived from the master key and bound to its workspace and name: write access to Redis
/// alone can remove one or restore an earlier value, and neither read nor make one.
package struct ProviderCredentialStore: Sendable {
    private let client: RedisClient
    private let prefix: String
    private let key: SealingKey

    /// In the slot of the first lane of the queue.
    package static let standardPrefix = "orc:{l0}:auth:provider:"

    /// `prefix` begins the names of all keys. Throws `CryptographyError`.
    package init(
        client: RedisClient, prefix: String = Self.standardPrefix, master: SealingKey
    ) throws(CryptographyError) {
        self.client = client
        self.prefix = prefix
        self.key = try SealingKey(bytes: try master.derived(for: "orchestra/provider-credential/1"))
    }

    // The end keeps the key out of the patterns of submitters' users, whatever the workspace's name is.
    private func hash(_ workspace: WorkspaceID) -> String { "\(self.prefix)\(workspace.name):sealed" }

    private func associated(_ name: DefinitionName, _ workspace: WorkspaceID) -> [UInt8] {
        Array("orchestra/provider-credential/1/\(workspace.name)/\(name.name)".utf8)
    }

    /// The credential with this name; nil when there is none. Throws `CredentialsError` when it cannot be opened, and when
    /// Redis does not answer.
    package func credential(_ name: DefinitionName, of workspace: WorkspaceID) async throws -> ProviderCredential? {
        let reply = try await self.client.send(
            RedisCommand("HGET", self.hash(workspace), name.name), timeout: .seconds(2))
        return reply.isNull ? nil : try self.open(Array(reply.bytes), name, workspace)
    }

    /// The names of a workspace's credentials, also of those that cannot be opened; without what is no name. Throws when Redis
    /// does not answer.
    package func names(of workspace: WorkspaceID) async throws -> [DefinitionName] {
        try await self.client.send(RedisCommand("HKEYS", self.hash(workspace))).elements
            .compactMap { DefinitionName(ifValid: String(decoding: $0.bytes, as: UTF8.self)) }
            .sorted { $0.name < $1.name }
    }

    /// Stores a new credential; false when there is one with its name, which stays.
    package func add(_ credential: ProviderCredential, of workspace: WorkspaceID) async throws -> Bool {
        try await self.client.send(try self.command("HSETNX", credential, workspace)).integer == 1
    }

    /// Stores a credential in the place of the one with its name.
    package func put(_ credential: ProviderCredential, of workspace: WorkspaceID) async throws {
        _ = try await self.client.send(try self.command("HSET", credential, workspace))
    }

    private func command(
        _ name: String, _ credential: ProviderCredential, _ workspace: WorkspaceID
    ) throws -> RedisCommand {
        var command = RedisCommand(name, self.hash(workspace), credential.name.name)
        command.append(
            try self.key.seal(credential.bytes, authenticating: self.associated(credential.name, workspace)))
        return command
    }

    /// Removes a credential; false when there is none.
    package func remove(_ name: DefinitionName, of workspace: WorkspaceID) async throws -> Bool {
        try await self.client.send(RedisCommand("HDEL", self.hash(workspace), name.name)).integer == 1
    }

    private func open(
        _ sealed: [UInt8], _ name: DefinitionName, _ workspace: WorkspaceID
    ) throws(CredentialsError) -> ProviderCredential {
        let bytes: [UInt8]
        do throws(CryptographyError) {
            bytes = try self.key.open(sealed[...], authenticating: self.associated(name, workspace))
        } catch {
            throw CredentialsError(
                code: .malformed,
                message:
                    "the credential '\(name)' of workspace '\(workspace)' cannot be opened: it was changed in Redis, "
                    + "or sealed under another master key; remove it and add it again")
        }
        return try ProviderCredential(name: name, bytes: bytes)
    }
}
