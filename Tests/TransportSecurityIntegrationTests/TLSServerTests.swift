import Domain
import Foundation
import NIOCore
import NIOPosix
import TestSupport
import Testing
import TransportSecurity

/// An authority, and a server's and a client's certificate that it signed, made by the openssl command line.
private struct Certificates {
    let directory: String

    static func with(_ body: (Certificates) async throws -> Void) async throws {
        try await withDirectory { directory in
            let certificates = Certificates(directory: directory)
            try await certificates.shell(
                "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem "
                    + "-subj /CN=ca -days 2")
            try await certificates.issue("server", serial: 1001)
            try await certificates.issue("client", serial: 2001)
            try await body(certificates)
        }
    }

    var server: TLSServerConfiguration {
        TLSServerConfiguration(certificateFile: self.path("server.pem"), privateKeyFile: self.path("server.key"))
    }

    var client: TLSConfiguration { TLSConfiguration(serverName: "127.0.0.1", authorityFile: self.path("ca.pem")) }

    func path(_ name: String) -> String { self.directory + "/" + name }

    /// A new key and a new certificate in the same files, as a renewal makes them.
    func issue(_ who: String, serial: Int) async throws {
        try "subjectAltName=IP:127.0.0.1,DNS:localhost".write(
            toFile: self.path("extensions"), atomically: true, encoding: .utf8)
        try await self.shell(
            "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout \(who).key -out \(who).csr "
                + "-subj /CN=\(who) && chmod 600 \(who).key")
        try await self.shell(
            "openssl x509 -req -in \(who).csr -CA ca.pem -CAkey ca.key -set_serial \(serial) -out \(who).pem -days 2 "
                + "-extfile extensions")
    }

    @discardableResult
    func shell(_ line: String, input: String = "") async throws -> String {
        let result = try await runProgram(
            "/bin/sh", ["-c", "cd \(self.directory) && \(line)"],
            environment: ["HOME": self.directory, "RANDFILE": self.path(".rnd")], input: input)
        guard result.code == 0 else { throw TestFailure("\(line): \(result.errors)") }
        return result.output.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// Says hello by `openssl s_client`, which ends when the server closes.
    func dial(
        _ server: EchoServer, _ options: String...
    ) async throws -> (code: Int32, output: String, errors: String) {
        try await runProgram(
            "/bin/sh",
            [
                "-c",
                "cd \(self.directory) && exec openssl s_client -connect 127.0.0.1:\(server.port) -ign_eof "
                    + "-CAfile ca.pem -verify_return_error -verify_ip 127.0.0.1 " + options.joined(separator: " "),
            ], environment: ["HOME": self.directory, "RANDFILE": self.path(".rnd")], input: "hello\nquit\n")
    }

    func serial(in output: String) async throws -> String {
        try await self.shell("openssl x509 -noout -serial", input: output)
    }
}

/// What one end of a connection sees above TLS, or on the bare socket.
private enum Event: Sendable, Equatable {
    case client(TLSPeer)
    case completed
    case bytes(ByteBuffer)
    case inputClosed
    case refused(TLSError)
    case failed(String)
    case closed
}

/// Notes what happens; a server's also answers with what it gets, until it gets the line "quit".
private final class Recorder: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let events: AsyncStream<Event>.Continuation
    private let greeting: String?
    private let isEcho: Bool
    private let isAutomatic: Bool
    private var seen = ""

    init(_ events: AsyncStream<Event>.Continuation, greeting: String? = nil, isEcho: Bool, isAutomatic: Bool = true) {
        self.events = events
        self.greeting = greeting
        self.isEcho = isEcho
        self.isAutomatic = isAutomatic
    }

    func channelActive(context: ChannelHandlerContext) {
        if let greeting { context.writeAndFlush(self.wrapOutboundOut(ByteBuffer(string: greeting)), promise: nil) }
        if !self.isAutomatic { context.read() }
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let buffer = self.unwrapInboundIn(data)
        self.events.yield(.bytes(buffer))
        if !self.isAutomatic { context.read() }
        guard self.isEcho else { return }
        self.seen = String((self.seen + String(buffer: buffer)).suffix(5))
        self.answer(buffer, context: context, isLast: self.seen == "quit\n")
    }

    private func answer(_ buffer: ByteBuffer, context: ChannelHandlerContext, isLast: Bool) {
        let written = context.eventLoop.makePromise(of: Void.self)
        if isLast {
            let channel = context.channel
            written.futureResult.whenComplete { _ in channel.close(promise: nil) }
        }
        context.writeAndFlush(self.wrapOutboundOut(buffer), promise: written)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case let peer as TLSPeer: self.events.yield(.client(peer))
        case is TLSHandshakeCompleted: self.events.yield(.completed)
        case ChannelEvent.inputClosed:
            self.events.yield(.inputClosed)
            self.answer(ByteBuffer(string: "bye"), context: context, isLast: true)
        default: break
        }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        self.events.yield((error as? TLSError).map { .refused($0) } ?? .failed("\(error)"))
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.events.yield(.closed)
        context.fireChannelInactive()
    }
}

/// Below TLS: hands on one byte at a time.
private final class Dribble: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var buffer = self.unwrapInboundIn(data)
        while let byte = buffer.readSlice(length: 1) { context.fireChannelRead(self.wrapInboundOut(byte)) }
    }
}

/// A server on loopback that sends back what it gets.
private struct EchoServer {
    struct Options {
        var handshakeTimeout = TimeAmount.seconds(30)
        var dribbles = false
        var allowsHalfClosure = false
        var isAutomatic = true
        var greeting: String?
    }

    let port: Int
    let events: Events

    static func with(
        _ tls: TLSServerContext, _ change: (inout Options) -> Void = { _ in },
        _ body: (EchoServer) async throws -> Void
    ) async throws {
        var changed = Options()
        change(&changed)
        let options = changed
        let (stream, events) = AsyncStream<Event>.makeStream()
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelOption(.allowRemoteHalfClosure, value: options.allowsHalfClosure)
            .childChannelOption(.autoRead, value: options.isAutomatic)
            .childChannelInitializer { child in
                child.eventLoop.makeCompletedFuture {
                    let pipeline = child.pipeline.syncOperations
                    if options.dribbles { try pipeline.addHandler(Dribble()) }
                    try pipeline.addHandler(TLSServerHandler(context: tls, handshakeTimeout: options.handshakeTimeout))
                    try pipeline.addHandler(
                        Recorder(events, greeting: options.greeting, isEcho: true, isAutomatic: options.isAutomatic))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let server = EchoServer(port: channel.localAddress?.port ?? 0, events: Events(stream: stream))
        do {
            try await body(server)
        } catch {
            try? await channel.close()
            throw error
        }
        try await channel.close()
    }

    /// A connection by the project's own client, or without TLS when there is no configuration.
    func connect(_ configuration: TLSConfiguration?, _ body: (any Channel, Events) async throws -> Void) async throws {
        let (stream, events) = AsyncStream<Event>.makeStream()
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    if let configuration {
                        try pipeline.addHandler(
                            TLSClientHandler(configuration: configuration, handshakeTimeout: .seconds(30)))
                    }
                    try pipeline.addHandler(Recorder(events, isEcho: false))
                }
            }
            .connect(host: "127.0.0.1", port: self.port).get()
        defer { channel.close(promise: nil) }
        try await body(channel, Events(stream: stream))
    }
}

/// The events of all connections of a server, or of the one of a client, in order.
private struct Events {
    let stream: AsyncStream<Event>

    /// The first from here on that `pick` makes something of.
    func next<Value>(_ what: String, _ pick: (Event) -> Value?) async throws -> Value {
        for await event in self.stream {
            if let value = pick(event) { return value }
        }
        throw TestFailure("there was no \(what)")
    }

    func first(_ wanted: Event) async throws {
        _ = try await self.next("\(wanted)") { $0 == wanted ? true : nil }
    }

    func refusal() async throws -> TLSError {
        try await self.next("refusal") { if case .refused(let error) = $0 { error } else { nil } }
    }

    /// As many bytes as are asked for, and no more when what comes is as the test expects.
    func bytes(_ count: Int) async throws -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count {
            bytes += try await self.next("\(count) bytes") {
                if case .bytes(let buffer) = $0 { Array(buffer.readableBytesView) } else { nil }
            }
        }
        return bytes
    }
}

@Suite(
    "TLS of a server", .serialized, .enabled(if: isInstalled("openssl"), "needs the openssl command"),
    .timeLimit(.minutes(5)))
struct TLSServerTests {
    @Test("s_client shakes hands in TLS 1.3, gets its echo and no session ticket; TLS 1.2 is refused")
    func versions() async throws {
        try await Certificates.with { files in
            try await EchoServer.with(try TLSServerContext(configuration: files.server)) { server in
                let modern = try await files.dial(server, "-tls1_3")
                #expect(modern.code == 0, "\(modern.errors)")
                #expect(modern.output.contains("hello\nquit\n"))
                #expect(modern.output.contains("New, TLSv1.3, Cipher is TLS_AES_256_GCM_SHA384"))
                #expect(!modern.output.contains("New Session Ticket"))
                try await server.events.first(.completed)
                let old = try await files.dial(server, "-tls1_2")
                #expect(old.code != 0)
                #expect(!old.output.contains("hello"))
                #expect(try await server.events.refusal().code == .protocolFailure)
            }
        }
    }

    @Test("a client that lists protocols must list http/1.1")
    func protocols() async throws {
        try await Certificates.with { files in
            try await EchoServer.with(try TLSServerContext(configuration: files.server)) { server in
                let both = try await files.dial(server, "-alpn", "h2,http/1.1")
                #expect(both.output.contains("ALPN protocol: http/1.1"))
                let none = try await files.dial(server)
                #expect(none.output.contains("No ALPN negotiated"))
                #expect(none.output.contains("hello\nquit\n"))
                let other = try await files.dial(server, "-alpn", "h2")
                #expect(other.code != 0)
                #expect(other.errors.contains("no application protocol"), "\(other.errors)")
                #expect(try await server.events.refusal().code == .protocolFailure)
            }
        }
    }

    @Test("a server that verifies its clients reports who they are, and refuses a missing or a foreign certificate")
    func clientCertificate() async throws {
        try await Certificates.with { files in
            var configuration = files.server
            configuration.clientAuthorityFile = files.path("ca.pem")
            let digest = try await files.shell(
                "openssl x509 -in client.pem -pubkey -noout | openssl pkey -pubin -outform der | sha256sum")
            try await files.shell(
                "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout foreign.key "
                    + "-out foreign.pem -subj /CN=client -days 2")
            try await EchoServer.with(try TLSServerContext(configuration: configuration)) { server in
                let known = try await files.dial(server, "-cert client.pem -key client.key")
                #expect(known.output.contains("hello\nquit\n"), "\(known.errors)")
                let peer = try await server.events.next("peer") { if case .client(let peer) = $0 { peer } else { nil } }
                #expect(peer.subject == "CN=client")
                let hex = peer.publicKeyDigest.map { String(format: "%02x", $0) }.joined()
                #expect(digest.hasPrefix(hex) && hex.count == 64)
                try await server.events.first(.completed)
                try await server.events.first(.closed)
                // In TLS 1.3 the client counts as connected until it reads.
                let unknown = try await files.dial(server)
                #expect(!unknown.output.contains("hello"))
                let missing = try await server.events.refusal()
                #expect(missing.message.contains("certificate"), "\(missing)")
                let foreign = try await files.dial(server, "-cert foreign.pem -key foreign.key")
                #expect(!foreign.output.contains("hello"))
                let refusal = try await server.events.refusal()
                #expect(refusal.code == .untrustedPeer)
                #expect(refusal.message.contains("the client's certificate was refused"), "\(refusal)")
            }
        }
    }

    @Test("a renewed certificate is shown to new connections; one that stands goes on, and a bad one changes nothing")
    func reload() async throws {
        try await Certificates.with { files in
            let tls = try TLSServerContext(configuration: files.server)
            let digest = tls.publicKeyDigest
            try await EchoServer.with(tls) { server in
                var pinned = files.client
                pinned.pins = [digest]
                try await server.connect(pinned) { channel, events in
                    try await channel.writeAndFlush(ByteBuffer(string: "one")).get()
                    #expect(try await events.bytes(3) == Array("one".utf8))
                    #expect(try await files.serial(in: files.dial(server).output) == "serial=03E9")
                    #expect(try !tls.reloadIfChanged())
                    try await files.issue("server", serial: 1002)
                    #expect(try tls.reloadIfChanged())
                    #expect(try !tls.reloadIfChanged())
                    #expect(tls.publicKeyDigest != digest)
                    #expect(try await files.serial(in: files.dial(server).output) == "serial=03EA")

                    try await files.shell("cp ca.key server.key")
                    for _ in 1...2 {
                        let error = #expect(throws: TLSError.self) { try tls.reloadIfChanged() }
                        #expect(error?.message.contains(files.path("server.key")) == true, "\(error?.message ?? "")")
                    }
                    #expect(throws: TLSError.self) { try tls.reload() }
                    #expect(try await files.serial(in: files.dial(server).output) == "serial=03EA")

                    try await channel.writeAndFlush(ByteBuffer(string: "two")).get()
                    #expect(try await events.bytes(3) == Array("two".utf8))
                }
            }
        }
    }

    @Test("files that cannot be used are refused by name")
    func misconfigured() async throws {
        try await Certificates.with { files in
            try await files.shell("cp server.key open.key && chmod 640 open.key && mkfifo -m 600 pipe.key")
            try await files.shell("openssl ec -in server.key -aes128 -passout pass:secret -out locked.key")
            try await files.shell(
                "openssl req -x509 -newkey rsa:1024 -nodes -keyout weak.key -out weak.pem -subj /CN=weak -days 2")
            try await files.shell("chmod 600 locked.key weak.key")
            let cases: [(String, String, String, String?)] = [
                ("open.key", "server.pem", "open.key", nil),
                ("pipe.key", "server.pem", "pipe.key", nil),
                ("locked.key", "server.pem", "locked.key", nil),
                ("client.key", "server.pem", "client.key", nil),
                ("absent.key", "server.pem", "absent.key", nil),
                ("absent.pem", "absent.pem", "server.key", nil),
                ("extensions", "extensions", "server.key", nil),
                ("weak.pem", "weak.pem", "weak.key", nil),
                ("absent-ca.pem", "server.pem", "server.key", "absent-ca.pem"),
                ("server.key", "server.pem", "server.key", "server.key"),
            ]
            for (named, certificate, key, authority) in cases {
                let configuration = TLSServerConfiguration(
                    certificateFile: files.path(certificate), privateKeyFile: files.path(key),
                    clientAuthorityFile: authority.map { files.path($0) })
                let error = #expect(throws: TLSError.self) { try TLSServerContext(configuration: configuration) }
                #expect(error?.code == .configuration)
                #expect(error?.message.contains(files.path(named)) == true, "\(named): \(error?.message ?? "")")
            }
        }
    }

    @Test("the certificate's end is read, and an expired one is served with a warning")
    func expiry() async throws {
        try await Certificates.with { files in
            let tls = try TLSServerContext(configuration: files.server)
            let end = try await files.shell(
                "date -d \"$(openssl x509 -in server.pem -noout -enddate | cut -d= -f2)\" +%s")
            #expect(String(tls.certificateExpiry) == end)
            #expect(!tls.isExpired)
            try await files.shell(
                "openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -set_serial 7 -days -1 -out server.pem")
            #expect(try tls.reloadIfChanged())
            #expect(tls.isExpired)
        }
    }

    @Test(
        "who speaks no TLS is closed on cleanly, and the next client is served",
        arguments: ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "SSH-2.0-client\r\n", "\u{16}\u{3}\u{1}\u{0}\u{5}hello"])
    func plainText(_ text: String) async throws {
        try await Certificates.with { files in
            try await EchoServer.with(try TLSServerContext(configuration: files.server)) { server in
                try await server.connect(nil) { channel, events in
                    try await channel.writeAndFlush(ByteBuffer(string: text)).get()
                    while true {
                        let event = try await events.next("end") { $0 }
                        if event == .closed { break }
                        guard case .bytes(let alert) = event else { throw TestFailure("\(event)") }
                        #expect(alert.readableBytes == 7 && alert.readableBytesView.first == 21)
                    }
                }
                #expect(try await server.events.refusal().code == .protocolFailure)
                #expect(try await files.dial(server).output.contains("hello\nquit\n"))
            }
        }
    }

    @Test("single bytes make a handshake and an echo, also for a server that reads on demand")
    func singleBytes() async throws {
        try await Certificates.with { files in
            let tls = try TLSServerContext(configuration: files.server)
            for isAutomatic in [true, false] {
                try await EchoServer.with(tls) {
                    $0.dribbles = true
                    $0.isAutomatic = isAutomatic
                } _: { server in
                    let answer = try await files.dial(server, "-alpn http/1.1")
                    #expect(answer.output.contains("hello\nquit\n"), "\(answer.errors)")
                }
            }
        }
    }

    @Test("a client that says nothing is closed on when its time is over")
    func handshakeTimeout() async throws {
        try await Certificates.with { files in
            let tls = try TLSServerContext(configuration: files.server)
            try await EchoServer.with(tls) {
                $0.handshakeTimeout = .milliseconds(20)
            } _: { server in
                try await server.connect(nil) { _, events in
                    try await events.first(.closed)
                    #expect(try await server.events.refusal().code == .handshakeTimeout)
                }
            }
        }
    }

    @Test("what is written before the handshake waits for it, and large values come whole")
    func largeValues() async throws {
        try await Certificates.with { files in
            let tls = try TLSServerContext(configuration: files.server)
            try await EchoServer.with(tls) {
                $0.greeting = "welcome"
            } _: { server in
                try await server.connect(files.client) { channel, events in
                    let greeting = try await events.bytes(7)
                    #expect(greeting == Array("welcome".utf8))
                    let value = (0..<1_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
                    channel.writeAndFlush(ByteBuffer(bytes: value), promise: nil)
                    let echo = try await events.bytes(value.count)
                    #expect(echo == value)
                }
            }
        }
    }

    @Test("a client's close ends the connection, or leaves it half open for the answer where that is allowed")
    func halfClose() async throws {
        try await Certificates.with { files in
            let tls = try TLSServerContext(configuration: files.server)
            for allowsHalfClosure in [false, true] {
                try await EchoServer.with(tls) {
                    $0.allowsHalfClosure = allowsHalfClosure
                } _: { server in
                    try await server.connect(files.client) { channel, events in
                        try await events.first(.completed)
                        try await channel.close(mode: .output).get()
                        if allowsHalfClosure {
                            try await server.events.first(.inputClosed)
                            #expect(try await events.bytes(3) == Array("bye".utf8))
                        }
                        try await events.first(.closed)
                        try await server.events.first(.closed)
                    }
                }
            }
        }
    }
}
