import Credentials
import Cryptography
import Domain
import Redis
import TestSupport
import Testing

/// Credentials for services outside, in a real Redis.
@Suite("Provider credentials in Redis")
struct ProviderCredentialStoreTests {
    private static func with(
        _ body: @escaping @Sendable (ProviderCredentialStore, RedisClient, TestRedis) async throws -> Void
    ) async throws {
        try await withDirectory { directory in
            try await withRedis(in: directory) { redis in
                try await withClient(redis.configuration) { client in
                    let master = try SealingKey(bytes: [UInt8](repeating: 7, count: 32))
                    try await body(try ProviderCredentialStore(client: client, master: master), client, redis)
                }
            }
        }
    }

    private static func credential(_ name: String, _ value: String = "sk-secret-1") throws -> ProviderCredential {
        try ProviderCredential(
            name: try DefinitionName(name), value: value, hosts: ["api.example.test"], createdAt: 1, changedAt: 2)
    }

    @Test("a credential is read back by its name and workspace alone, and Redis never has its value")
    func stored() async throws {
        try await Self.with { store, _, redis in
            let (acme, other) = (try WorkspaceID("acme"), try WorkspaceID("other"))
            let credential = try Self.credential("anthropic")
            try await store.put(credential, of: acme)
            #expect(try await store.credential(credential.name, of: acme) == credential)
            #expect(try await store.credential(credential.name, of: other) == nil)
            #expect(try await store.names(of: acme) == [credential.name])
            let stored = try await redis.send(
                RedisCommand("HGET", ProviderCredentialStore.standardPrefix + "acme:sealed", "anthropic"))
            #expect(!String(decoding: stored.bytes, as: UTF8.self).contains("sk-secret"))
            #expect(try await store.remove(credential.name, of: acme))
            #expect(try await !store.remove(credential.name, of: acme))
        }
    }

    @Test("sealed bytes that were moved to another workspace or name, or changed, are not opened")
    func moved() async throws {
        try await Self.with { store, client, redis in
            let acme = try WorkspaceID("acme")
            try await store.put(try Self.credential("anthropic"), of: acme)
            let prefix = ProviderCredentialStore.standardPrefix
            let sealed = Array(try await redis.send(RedisCommand("HGET", prefix + "acme:sealed", "anthropic")).bytes)
            for (workspace, name, bytes) in [
                ("other", "anthropic", sealed), ("acme", "openai", sealed),
                ("acme", "anthropic", sealed.dropLast() + [0]),
            ] {
                var command = RedisCommand("HSET", prefix + workspace + ":sealed", name)
                command.append(Array(bytes))
                _ = try await redis.send(command)
                await #expect(throws: CredentialsError.self, "\(workspace) \(name)") {
                    try await store.credential(try DefinitionName(name), of: try WorkspaceID(workspace))
                }
            }
            let stranger = try ProviderCredentialStore(
                client: client, master: try SealingKey(bytes: [UInt8](repeating: 8, count: 32)))
            await #expect(throws: CredentialsError.self) {
                try await stranger.credential(try DefinitionName("openai"), of: acme)
            }
        }
    }

    @Test("a value or a host that no header can carry is refused", arguments: ["", "a b", "a\nb", "ä"])
    func malformed(_ value: String) {
        #expect(throws: CredentialsError.self) { try Self.credential("x", value) }
        #expect(throws: CredentialsError.self) {
            try ProviderCredential(
                name: try DefinitionName("x"), value: "v", hosts: [value], createdAt: 1, changedAt: 1)
        }
    }
}
