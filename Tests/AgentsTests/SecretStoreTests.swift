import Domain
import Foundation
import Sandboxing
import ShimProtocol
import TestSupport
import Testing

@testable import Agents

@Suite("SecretStore")
struct SecretStoreTests {
    private static func store(_ root: String, _ bytes: [UInt8]?, mode: Int = 0o600) throws -> SecretStore {
        if let bytes {
            try HostFiles.makeDirectory(root + "/team")
            try HostFiles.replace(root + "/team/token", with: bytes)
            try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: root + "/team/token")
        }
        return SecretStore(root: root)
    }

    private static func read(_ store: SecretStore) throws -> [UInt8]? {
        try store.secrets([try DefinitionName("token")], of: try WorkspaceID("team")).first?.bytes
    }

    @Test("a secret is the bytes of its file")
    func bytes() async throws {
        try await withDirectory { root in
            let bytes = try Self.read(try Self.store(root, [1, 2]))
            #expect(bytes == [1, 2])
        }
    }

    @Test("a secret that does not exist is the definition's fault and is named")
    func absent() async throws {
        try await withDirectory { root in
            let store = try Self.store(root, nil)
            let error = #expect(throws: AgentError.self) { try Self.read(store) }
            #expect(error?.code == .launchFailed && error?.message.contains("'token'") == true)
        }
    }

    @Test("a directory of secrets that cannot be read is the node's fault")
    func unreadable() async throws {
        try await withDirectory { root in
            try HostFiles.replace(root + "/team", with: [1])
            let error = #expect(throws: AgentError.self) { try Self.read(SecretStore(root: root)) }
            #expect(error?.code == .hostUnavailable)
        }
    }

    @Test("a secret that others may read is refused", arguments: [0o640, 0o604, 0o660])
    func open(mode: Int) async throws {
        try await withDirectory { root in
            let store = try Self.store(root, [1], mode: mode)
            let error = #expect(throws: AgentError.self) { try Self.read(store) }
            #expect(error?.code == .launchFailed)
        }
    }

    @Test("a link is not followed")
    func link() async throws {
        try await withDirectory { root in
            try HostFiles.makeDirectory(root + "/team")
            try HostFiles.replace(root + "/other", with: [1])
            try FileManager.default.createSymbolicLink(
                atPath: root + "/team/token", withDestinationPath: root + "/other")
            #expect(throws: AgentError.self) { try Self.read(SecretStore(root: root)) }
        }
    }

    @Test("an empty secret and one that is too long are refused", arguments: [0, SecretStore.limit + 1])
    func length(count: Int) async throws {
        try await withDirectory { root in
            let store = try Self.store(root, [UInt8](repeating: 7, count: count))
            #expect(throws: AgentError.self) { try Self.read(store) }
        }
    }
}
