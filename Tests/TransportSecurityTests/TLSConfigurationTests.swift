import Domain
import Foundation
import Testing

@testable import TransportSecurity

@Suite("The configuration of TLS")
struct TLSConfigurationTests {
    private let files: TestCertificates

    init() throws { self.files = try TestCertificates() }

    private func server(_ certificate: String = "server.pem", _ key: String = "server.key") -> TLSServerConfiguration {
        TLSServerConfiguration(
            certificateFile: self.files.path(certificate), privateKeyFile: self.files.path(key))
    }

    private func refusal(_ configuration: TLSServerConfiguration) -> TLSError? {
        #expect(throws: TLSError.self) { try TLSServerContext(configuration: configuration) }
    }

    private func refusal(_ change: (inout TLSConfiguration) -> Void) -> TLSError? {
        var configuration = TLSConfiguration(serverName: "localhost", authorityFile: self.files.path("ca.pem"))
        change(&configuration)
        return #expect(throws: TLSError.self) { try TLSClientHandler.validate(configuration) }
    }

    @Test("files that fit are accepted, and the certificate's end and key are known")
    func good() throws {
        let context = try TLSServerContext(configuration: self.server())
        #expect(!context.isExpired && context.publicKeyDigest.count == 32)
    }

    @Test("a missing file is refused by its name", arguments: ["server.pem", "server.key"])
    func missing(name: String) throws {
        try FileManager.default.removeItem(atPath: self.files.path(name))
        let error = self.refusal(self.server())
        #expect(error?.code == .configuration && error?.message.contains(name) == true)
    }

    @Test("a key that others may read is refused with its mode")
    func openKey() throws {
        try FileManager.default.setAttributes(
            [.posixPermissions: 0o644], ofItemAtPath: self.files.path("server.key"))
        #expect(self.refusal(self.server())?.message.contains("644") == true)
    }

    @Test("the key of another certificate is refused")
    func otherKey() {
        #expect(self.refusal(self.server("server.pem", "client.key"))?.code == .configuration)
    }

    @Test("a directory or a text in the place of a file is refused")
    func notACertificate() throws {
        #expect(self.refusal(self.server("", "server.key"))?.code == .configuration)
        try "hello".write(toFile: self.files.path("server.pem"), atomically: false, encoding: .utf8)
        #expect(self.refusal(self.server())?.code == .configuration)
    }

    @Test("a reload happens only when a file has changed")
    func reload() throws {
        let context = try TLSServerContext(configuration: self.server())
        let before = context.publicKeyDigest
        #expect(try !context.reloadIfChanged())
        try self.files.issue("server")
        // The stamp of a file has the time of its change, which two writes in a moment may share.
        try FileManager.default.setAttributes(
            [.modificationDate: Date(timeIntervalSinceNow: 10)], ofItemAtPath: self.files.path("server.pem"))
        #expect(try context.reloadIfChanged())
        #expect(context.publicKeyDigest != before)
    }

    @Test("a reload that fails keeps the certificate that is in use")
    func failedReload() throws {
        let context = try TLSServerContext(configuration: self.server())
        let before = context.publicKeyDigest
        try FileManager.default.removeItem(atPath: self.files.path("server.key"))
        #expect(throws: TLSError.self) { try context.reload() }
        #expect(context.publicKeyDigest == before)
    }

    @Test("a client needs the server's name")
    func noName() { #expect(self.refusal { $0.serverName = "" }?.code == .configuration) }

    @Test("a client's certificate and key are given together")
    func halfIdentity() {
        let error = self.refusal { $0.certificateFile = self.files.path("client.pem") }
        #expect(error?.message.contains("together") == true)
    }

    @Test("an authority file that cannot be read is refused by its name")
    func noAuthority() {
        #expect(
            self.refusal { $0.authorityFile = "/nonexistent/ca.pem" }?.message.contains("/nonexistent/ca.pem") == true)
    }
}
