import Domain
import NIOCore
import NIOEmbedded
import Testing

@testable import TransportSecurity

@Suite("The TLS handlers")
struct TLSHandlerTests {
    private let files: TestCertificates

    init() throws { self.files = try TestCertificates() }

    private var trusting: TLSConfiguration {
        TLSConfiguration(serverName: "localhost", authorityFile: self.files.path("ca.pem"))
    }

    private func context(verifiesClients: Bool = false) throws -> TLSServerContext {
        try TLSServerContext(
            configuration: TLSServerConfiguration(
                certificateFile: self.files.path("server.pem"), privateKeyFile: self.files.path("server.key"),
                clientAuthorityFile: verifiesClients ? self.files.path("ca.pem") : nil))
    }

    private func bench(_ change: (inout TLSConfiguration) -> Void = { _ in }) throws -> TLSBench {
        var configuration = self.trusting
        change(&configuration)
        return try TLSBench(configuration, try self.context())
    }

    private func established() throws -> TLSBench {
        let bench = try self.bench()
        try bench.carry()
        return bench
    }

    @Test("a handshake completes on both sides, and bytes pass in both directions")
    func exchange() throws {
        let bench = try self.established()
        #expect(bench.clientSide.events == ["completed"] && bench.serverSide.events == ["completed"])
        try bench.client.writeOutbound(ByteBuffer(string: "question"))
        try bench.carry()
        try bench.server.writeOutbound(ByteBuffer(string: "answer"))
        try bench.carry()
        #expect(bench.serverSide.text == "question" && bench.clientSide.text == "answer")
    }

    @Test("nothing that is written is on the wire in clear")
    func encrypted() throws {
        let bench = try self.established()
        try bench.client.writeOutbound(ByteBuffer(string: "a very secret question"))
        var wire = ""
        try bench.carry { wire += String(buffer: $0) }
        #expect(!wire.isEmpty && !wire.contains("secret"))
        #expect(bench.serverSide.text == "a very secret question")
    }

    @Test("a write before the handshake is sent after it")
    func earlyWrite() throws {
        let bench = try self.bench()
        bench.client.writeAndFlush(ByteBuffer(string: "early"), promise: nil)
        try bench.carry()
        #expect(bench.serverSide.text == "early")
    }

    @Test("more than can wait for the handshake is refused, and its promise fails")
    func tooMuchEarly() throws {
        let bench = try self.bench()
        let written = bench.client.write(ByteBuffer(repeating: 0, count: 1024 * 1024 + 1))
        #expect(throws: TLSError.self) { try written.wait() }
        #expect(bench.clientSide.errors.map(\.code) == [.protocolFailure])
        #expect(!bench.client.isActive)
    }

    @Test("a handshake that comes byte by byte completes")
    func dribble() throws {
        let bench = try self.bench()
        try bench.carry(pieces: 1)
        #expect(bench.clientSide.events == ["completed"] && bench.serverSide.events == ["completed"])
    }

    @Test("a message of a megabyte arrives whole")
    func large() throws {
        let bench = try self.established()
        try bench.client.writeOutbound(ByteBuffer(repeating: UInt8(ascii: "x"), count: 1 << 20))
        try bench.carry()
        #expect(bench.serverSide.text.utf8.count == 1 << 20)
    }

    @Test("the server's address is checked against the addresses of its certificate")
    func address() throws {
        let good = try self.bench { $0.serverName = "127.0.0.1" }
        try good.carry()
        #expect(good.clientSide.events == ["completed"])
        let bad = try self.bench { $0.serverName = "127.0.0.2" }
        try bad.carry()
        #expect(bad.clientSide.errors.map(\.code) == [.untrustedPeer])
    }

    @Test("a certificate for another name is refused with that name, and both sides close")
    func wrongName() throws {
        let bench = try self.bench { $0.serverName = "other.example" }
        try bench.carry()
        #expect(bench.clientSide.errors.map(\.code) == [.untrustedPeer])
        #expect(bench.clientSide.errors.first?.message.contains("'other.example'") == true)
        #expect(bench.serverSide.errors.map(\.code) == [.protocolFailure], "the alert of the client")
        #expect(!bench.client.isActive && !bench.server.isActive)
    }

    @Test("a certificate of an unknown authority is refused before anything is sent")
    func unknownAuthority() throws {
        let other = try TestCertificates()
        let bench = try self.bench { $0.authorityFile = other.path("ca.pem") }
        bench.client.writeAndFlush(ByteBuffer(string: "secret"), promise: nil)
        try bench.carry()
        #expect(bench.clientSide.errors.map(\.code) == [.untrustedPeer])
        #expect(bench.serverSide.text.isEmpty)
    }

    @Test("a pinned key is accepted, and any other one is refused")
    func pins() throws {
        let context = try self.context()
        var pinned = self.trusting
        pinned.pins = [context.publicKeyDigest]
        let good = try TLSBench(pinned, context)
        try good.carry()
        #expect(good.clientSide.events == ["completed"])
        let bad = try self.bench { $0.pins = [[UInt8](repeating: 1, count: 32)] }
        try bad.carry()
        #expect(bad.clientSide.errors.map(\.code) == [.untrustedPeer])
    }

    @Test("a client that speaks plain HTTP is refused, and its bytes go no further")
    func plainText() throws {
        let bench = try self.bench()
        try bench.server.writeInbound(ByteBuffer(string: "GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
        #expect(bench.serverSide.errors.map(\.code) == [.protocolFailure])
        #expect(bench.serverSide.text.isEmpty && !bench.server.isActive)
    }

    @Test("a record that was changed on its way is refused, and nothing of it is delivered")
    func tampered() throws {
        let bench = try self.established()
        try bench.client.writeOutbound(ByteBuffer(string: "pay 10"))
        try bench.carry { buffer in
            if let last = buffer.readableBytesView.last {
                buffer.setInteger(last ^ 1, at: buffer.writerIndex - 1)
            }
        }
        #expect(bench.serverSide.errors.map(\.code) == [.protocolFailure])
        #expect(bench.serverSide.text.isEmpty && !bench.server.isActive)
    }

    @Test("a record of more than the protocol allows is refused")
    func oversized() throws {
        let bench = try self.established()
        try bench.server.writeInbound(ByteBuffer(bytes: [23, 3, 3, 0xff, 0xff]))
        #expect(bench.serverSide.errors.map(\.code) == [.protocolFailure])
    }

    @Test("a handshake that is not over in time is refused, and the client names a likely cause")
    func timeout() throws {
        let bench = try self.bench()
        bench.client.embeddedEventLoop.advanceTime(by: .seconds(5))
        bench.server.embeddedEventLoop.advanceTime(by: .seconds(5))
        #expect(bench.clientSide.errors.map(\.code) == [.handshakeTimeout])
        #expect(bench.clientSide.errors.first?.message.contains("plain-text port") == true)
        #expect(bench.serverSide.errors.map(\.code) == [.handshakeTimeout])
    }

    @Test("an established connection has no such deadline")
    func noTimeout() throws {
        let bench = try self.established()
        bench.client.embeddedEventLoop.advanceTime(by: .hours(1))
        #expect(bench.clientSide.errors.isEmpty && bench.client.isActive)
    }

    @Test("a connection that ends during the handshake is an error, not the end of a message")
    func truncatedHandshake() throws {
        let bench = try self.bench()
        bench.server.pipeline.fireChannelInactive()
        #expect(bench.serverSide.errors.map(\.code) == [.protocolFailure])
    }

    @Test("a close is announced to the peer, which then closes without an error")
    func close() throws {
        let bench = try self.established()
        bench.server.close(promise: nil)
        try bench.carry()
        #expect(!bench.client.isActive && bench.clientSide.errors.isEmpty)
        #expect(bench.clientSide.events == ["completed", "inactive"])
    }

    @Test("a write after the close fails")
    func writeAfterClose() throws {
        let bench = try self.established()
        bench.client.close(promise: nil)
        let written = bench.client.writeAndFlush(ByteBuffer(string: "late"))
        #expect(throws: ChannelError.self) { try written.wait() }
    }

    @Test("a server that verifies clients names the client before it completes")
    func clientCertificate() throws {
        var configuration = self.trusting
        configuration.certificateFile = self.files.path("client.pem")
        configuration.privateKeyFile = self.files.path("client.key")
        let bench = try TLSBench(configuration, try self.context(verifiesClients: true))
        try bench.carry()
        #expect(bench.serverSide.events == ["peer CN=client", "completed"])
    }

    @Test("a client without a certificate is refused where one is demanded")
    func noClientCertificate() throws {
        let bench = try TLSBench(self.trusting, try self.context(verifiesClients: true))
        try bench.carry()
        #expect(bench.serverSide.errors.count == 1 && bench.serverSide.events.first != "completed")
        #expect(!bench.server.isActive)
    }

    @Test("a client certificate of another authority is refused as untrusted")
    func foreignClientCertificate() throws {
        let other = try TestCertificates()
        var configuration = self.trusting
        configuration.certificateFile = other.path("client.pem")
        configuration.privateKeyFile = other.path("client.key")
        let bench = try TLSBench(configuration, try self.context(verifiesClients: true))
        try bench.carry()
        #expect(bench.serverSide.errors.map(\.code) == [.untrustedPeer])
    }
}
