import Egress
import Testing

@Suite("TLS inside a tunnel")
struct TunnelTLSTests {
    private static let connect = EgressFixture.connect("api.example.test:443")

    private func play(_ hello: [UInt8], _ head: [UInt8] = Self.connect) throws -> PlayedConnection {
        let fixture = try EgressFixture()
        let played = fixture.play([head, hello])
        // Bytes that arrive together with the head are decided alike, before a name is resolved.
        let early = fixture.play([head + hello])
        #expect(early.reason == played.reason && early.forwarded == played.forwarded)
        // Half a ClientHello is no reason before the input ends.
        #expect(played.reason == nil || early.isSilent || hello.count < 200 && early.forwarded.isEmpty)
        return played
    }

    @Test("a ClientHello for the host of the CONNECT is forwarded unchanged, with all that follows")
    func allowed() throws {
        for name in ["api.example.test", "API.example.TEST", "api.example.test."] {
            let bytes = HelloBytes.hello(name) + [23, 3, 3, 0, 1, 7]
            let played = try self.play(bytes)
            #expect(played.reason == nil && played.forwarded == bytes && played.machine.status == 200)
            #expect(played.events.first?.serverName == name && played.events.first?.phase == .decided)
        }
    }

    static let refused: [(String, [UInt8], EgressReason)] = [
        ("T1 other host", HelloBytes.hello("other.example.test"), .sniMismatch),
        ("T1 parent", HelloBytes.hello("example.test"), .sniMismatch),
        ("T1 suffix", HelloBytes.hello("xapi.example.test"), .sniMismatch),
        ("T1 two dots", HelloBytes.hello("api.example.test.."), .sniMismatch),
        ("T1 address", HelloBytes.hello("203.0.113.5"), .sniMismatch),
        ("T1 large, other host", HelloBytes.hello("other.example.test", padding: 1800), .sniMismatch),
        ("T2 no name", HelloBytes.hello(nil), .sniMissing),
        ("T2 no extensions", HelloBytes.records(HelloBytes.message(extensions: [])), .sniMissing),
        (
            "ECH", HelloBytes.hello("api.example.test", extra: [HelloBytes.extension(0xfe0d, [0])]),
            .encryptedClientHello
        ),
        (
            "ESNI", HelloBytes.hello("api.example.test", extra: [HelloBytes.extension(0xffce, [0])]),
            .encryptedClientHello
        ),
        ("T4 too large", HelloBytes.hello("api.example.test", padding: 16_384), .clientHelloTooLarge),
        ("T6 SSH", Array("SSH-2.0-OpenSSH_9.2\r\n".utf8), .opaqueTunnel),
        ("T6 HTTP", Array("GET / HTTP/1.1\r\n\r\n".utf8), .opaqueTunnel),
        ("T6 HTTP/2", Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8), .opaqueTunnel),
        ("T6 random", [0x8f, 0x11, 0x00, 0x16], .opaqueTunnel), ("T6 zero", [0], .opaqueTunnel),
        ("T6 SSL 2", [0x80, 0x2e, 1, 3, 1], .opaqueTunnel), ("T6 almost TLS", [22, 2], .opaqueTunnel),
        ("T6 version", [22, 3, 9], .opaqueTunnel),
        ("alert", [21, 3, 3, 0, 2, 2, 40], .opaqueTunnel),
        ("empty record", [22, 3, 1, 0, 0], .malformedClientHello),
        ("long record", [22, 3, 1, 0x40, 1], .malformedClientHello),
        ("ServerHello", HelloBytes.records(HelloBytes.message(extensions: [], type: 2)), .malformedClientHello),
        ("half", Array(HelloBytes.hello("api.example.test").dropLast()), .malformedClientHello),
        (
            "two in a record",
            HelloBytes.records(HelloBytes.message(extensions: [HelloBytes.serverName(["api.example.test"])]) + [1]),
            .malformedClientHello
        ),
        (
            "tail",
            HelloBytes.records(
                HelloBytes.message(extensions: [HelloBytes.serverName(["api.example.test"])], tail: [0])),
            .malformedClientHello
        ),
        (
            "two names",
            HelloBytes.records(
                HelloBytes.message(extensions: [HelloBytes.serverName(["api.example.test", "b.test"])])),
            .malformedClientHello
        ),
        (
            "name twice",
            HelloBytes.records(
                HelloBytes.message(extensions: [
                    HelloBytes.serverName(["api.example.test"]), HelloBytes.serverName(["b.test"]),
                ])), .malformedClientHello
        ),
        (
            "name kind",
            HelloBytes.records(HelloBytes.message(extensions: [HelloBytes.serverName(["api.example.test"], type: 1)])),
            .malformedClientHello
        ),
        ("empty name", HelloBytes.hello(""), .malformedClientHello),
        ("NUL", HelloBytes.hello("api.example.test\0.evil.test"), .malformedClientHello),
        ("short random", HelloBytes.records(HelloBytes.message(extensions: [], random: 3)), .malformedClientHello),
        (
            "interrupted", Array(HelloBytes.hello("api.example.test", size: 40).prefix(45)) + [23, 3, 3, 0, 1, 0],
            .malformedClientHello
        ),
        (
            "tiny records", Array(repeating: [22, 3, 1, 0, 1, 1] as [UInt8], count: 17_000).flatMap { $0 },
            .clientHelloTooLarge
        ),
    ]

    @Test("a tunnel with other bytes is closed before any byte goes to the server", arguments: Self.refused)
    func refusal(_ id: String, _ bytes: [UInt8], _ reason: EgressReason) throws {
        let played = try self.play(bytes)
        #expect(played.reason == reason && played.forwarded.isEmpty && played.isClosed)
        #expect(played.machine.status == 200 && played.events.count == 1)
    }

    @Test("T2: an entry can permit a ClientHello without a server name, and still no other name")
    func missingName() throws {
        let head = EgressFixture.connect("quiet.example.test:443")
        #expect(try self.play(HelloBytes.hello(nil), head).reason == nil)
        #expect(try self.play(HelloBytes.hello("api.example.test"), head).reason == .sniMismatch)
    }

    @Test("a refused ClientHello is answered with a fatal alert")
    func alert() throws {
        let played = try self.play(HelloBytes.hello("other.example.test"))
        #expect(played.answered.suffix(7) == [21, 3, 3, 0, 2, 2, 112])
        let plain = try self.play(Array("SSH-2.0".utf8))
        #expect(plain.answeredText == "HTTP/1.1 200 Connection established\r\n\r\n")
    }

    @Test("T4: the result does not depend on records and segments", arguments: [1, 2, 3, 5, 64, 700, 1800])
    func splits(_ size: Int) throws {
        for (name, reason) in [("api.example.test", nil), ("other.test", EgressReason.sniMismatch)] {
            let bytes = HelloBytes.hello(name, padding: 1800, size: size)
            let fixture = try EgressFixture()
            let whole = fixture.play([Self.connect, bytes])
            #expect(whole.reason == reason && whole.forwarded == (reason == nil ? bytes : []))
            let single = fixture.play([Self.connect] + bytes.map { [$0] })
            #expect(single.reason == reason && single.forwarded == whole.forwarded)
        }
    }

    @Test("every split of a ClientHello in two gives the same result")
    func everySplit() throws {
        let fixture = try EgressFixture()
        for name in ["api.example.test", "other.example.test"] {
            let bytes = HelloBytes.hello(name, size: 50)
            let whole = fixture.play([Self.connect, bytes])
            for index in 1..<bytes.count {
                let split = fixture.play([Self.connect, Array(bytes[..<index]), Array(bytes[index...])])
                #expect(split.reason == whole.reason && split.forwarded == whole.forwarded)
            }
        }
    }

    @Test("T6, T8: with protocol tcp any bytes pass in both directions, the server's first")
    func opaque() throws {
        var connection = PlayedConnection(
            machine: TunnelMachine(try EgressFixture().configuration),
            answers: [[EgressAddress(version4Bits: 0xcb00_7105)]])
        connection.perform(connection.machine.received(EgressFixture.connect("raw.example.test:22")))
        connection.perform(connection.machine.receivedFromServer(Array("SSH-2.0-a\r\n".utf8)))
        connection.perform(connection.machine.received(Array("SSH-2.0-b\r\n".utf8)))
        #expect(connection.answeredText.hasSuffix("SSH-2.0-a\r\n") && connection.forwardedText == "SSH-2.0-b\r\n")
        #expect(connection.machine.receivedEndOfInput() == [.endForward])
        connection.perform(connection.machine.receivedEndFromServer())
        #expect(
            connection.isClosed && connection.reason == nil && connection.events.map(\.phase) == [.decided, .ended])
        #expect(connection.events.last?.bytesToCaller == 11 && connection.events.last?.bytesFromCaller == 11)
    }

    @Test("T8: a server that speaks first, and a caller that says nothing, end the tunnel")
    func serverFirst() throws {
        for isDeadline in [true, false] {
            var connection = PlayedConnection(
                machine: TunnelMachine(try EgressFixture().configuration),
                answers: [[EgressAddress(version4Bits: 0xcb00_7105)]])
            connection.perform(connection.machine.received(Self.connect))
            let bytes = Array("220 mail\r\n".utf8)
            connection.perform(
                isDeadline ? connection.machine.hitDeadline() : connection.machine.receivedFromServer(bytes))
            #expect(connection.reason == .opaqueTunnel && connection.isClosed)
            #expect(!connection.answeredText.contains("220"))
        }
    }
}
