import Domain
import Testing

@testable import Credentials

@Suite("Credentials for services outside")
struct ProviderCredentialTests {
    private static func credential(_ value: String, hosts: [String] = ["api.example.test"]) throws -> ProviderCredential
    {
        try ProviderCredential(name: try DefinitionName("a"), value: value, hosts: hosts, createdAt: 1, changedAt: 2)
    }

    @Test("one is read back as it was written")
    func roundTrip() throws {
        let mine = try Self.credential("sk-ant-1", hosts: ["api.example.test", "10.0.0.1"])
        #expect(try ProviderCredential(name: mine.name, bytes: mine.bytes) == mine)
    }

    @Test("a value that no header can carry is refused", arguments: ["", "a b", "a\nb", "a\r", "ä", "\u{7f}"])
    func values(_ value: String) { #expect(throws: CredentialsError.self) { try Self.credential(value) } }

    @Test("a value that is too long is refused")
    func long() throws {
        _ = try Self.credential(String(repeating: "x", count: ProviderCredential.limit))
        #expect(throws: CredentialsError.self) {
            try Self.credential(String(repeating: "x", count: ProviderCredential.limit + 1))
        }
    }

    @Test(
        "hosts that can never match are refused",
        arguments: [[], ["A.test"], ["a.test:443"], ["https://a.test"], [""], Array(repeating: "a.test", count: 33)])
    func hosts(_ hosts: [String]) {
        #expect(throws: CredentialsError.self) { try Self.credential("v", hosts: hosts) }
    }

    @Test("stored bytes that are malformed are refused", arguments: ["", "{}", #"{"value":"v","hosts":["a"]}"#])
    func stored(_ text: String) {
        #expect(throws: CredentialsError.self) {
            try ProviderCredential(name: try DefinitionName("a"), bytes: Array(text.utf8))
        }
    }
}
