import CLinux
import Domain
import Egress
import Glibc
import Logging
import NIOCore
import NIOPosix
import ShimProtocol
import Synchronization
import TestSupport
import Testing
import TransportSecurity

@testable import EgressServer

/// A provider over TLS that counts its connections and calls.
private final class Provider: Sendable {
    let connections = Mutex(0)
    let calls = Mutex<[String]>([])
    /// Whether it closes each connection after its answer, without saying so.
    let closes: Bool

    init(closes: Bool) { self.closes = closes }
}

private final class ProviderHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let provider: Provider
    private var text = ""

    init(_ provider: Provider) { self.provider = provider }

    func channelActive(context: ChannelHandlerContext) { self.provider.connections.withLock { $0 += 1 } }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        self.text += String(decoding: self.unwrapInboundIn(data).readableBytesView, as: UTF8.self)
        guard self.text.hasSuffix("}") else { return }
        self.provider.calls.withLock { $0.append(self.text) }
        self.text = ""
        let document = #"{"model":"m","usage":{"input_tokens":1,"output_tokens":2}}"#
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: \(document.utf8.count)\r\n\r\n\(document)"
        context.writeAndFlush(self.wrapOutboundOut(ByteBuffer(string: answer)), promise: nil)
        if self.provider.closes { context.close(promise: nil) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

/// A trail that gives each call a credential, or refuses it.
private struct AdmittingTrail: EgressRecorder {
    let events = Holder()
    let acknowledgement: EgressAcknowledgement

    final class Holder: Sendable { let all = Mutex<[JSONValue]>([]) }

    func record(_ event: JSONValue, on loop: any EventLoop) -> EventLoopFuture<EgressAcknowledgement> {
        self.events.all.withLock { $0.append(event) }
        let isCall = event["phase"] == "decided" && event["decision"] == "allow"
        return loop.makeSucceededFuture(isCall ? self.acknowledgement : EgressAcknowledgement())
    }
}

@Suite("Models by way of the egress server", .serialized, .timeLimit(.minutes(2)))
struct ModelServingTests {
    private static let request: [UInt8] = {
        let body = #"{"model":"m","max_tokens":1,"messages":[]}"#
        return Array(
            ("POST /model/anthropic/v1/messages HTTP/1.1\r\nhost: 127.0.0.1\r\nx-api-key: sk-ant-api03-s\r\n"
                + "content-length: \(body.utf8.count)\r\n\r\n\(body)").utf8)
    }()

    /// Makes calls one after the other; returns the answers, and the events of the trail.
    private static func calls(
        _ count: Int, to provider: Provider, acknowledgement: EgressAcknowledgement = .init(credential: "real-key"),
        isTrusted: Bool = true, limits: EgressServerLimits = EgressServerLimits()
    ) async throws -> (answers: [String], events: [JSONValue]) {
        try await withDirectory { directory in
            let made = try await runProgram(
                "/bin/sh",
                [
                    "-c",
                    "cd \(directory) && for name in cert other; do openssl req -x509 -newkey ec -pkeyopt "
                        + "ec_paramgen_curve:P-256 -nodes -keyout $name.key -out $name.pem -subj /CN=model -addext "
                        + "subjectAltName=DNS:model.example.test -days 2 || exit 1; done",
                ])
            guard made.code == 0 else { throw TestFailure(made.errors) }
            let context = try TLSServerContext(
                configuration: TLSServerConfiguration(
                    certificateFile: directory + "/cert.pem", privateKeyFile: directory + "/cert.key"))
            // One loop, so that all calls share one pool of connections.
            let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
            let upstream = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandlers(
                            try TLSServerHandler(context: context), ProviderHandler(provider))
                    }
                }.bind(host: "127.0.0.1", port: 0).get()
            let trail = AdmittingTrail(acknowledgement: acknowledgement)
            let profile = try DefinitionName("model")
            let server = try EgressServer(
                configuration: EgressServerConfiguration(
                    socket: "/none", generation: 1,
                    entries: [
                        profile: [
                            [
                                "id": "m", "host": "model.example.test", "door": "model", "provider": "anthropic",
                                "credential": "c",
                            ]
                        ]
                    ],
                    overrides: try EgressServerConfiguration.overrides(
                        "model.example.test=127.0.0.1:\(try #require(upstream.localAddress?.port))"),
                    authorityFile: directory + (isTrusted ? "/cert.pem" : "/other.pem")), own: [], ports: [3128],
                limits: limits, group: group, resolver: CountingResolver(), recorder: trail, wall: { 1 },
                logger: Logger(label: "test"))
            let listener = orc_listen_loopback(0, 0)
            var ends: [Int32] = [0, 0]
            try #require(unsafe listener >= 0 && orc_socket_pair(&ends) == 0)
            let port = UInt16(orc_local_port(listener))
            server.serve(
                EgressHello(
                    workspace: try WorkspaceID("acme"), job: JobID(milliseconds: 1, randomHigh: 2, randomLow: 3),
                    launch: 1, profile: profile, secret: "s"), listener: listener, until: ends[0])
            let bench = ServerBench(
                port: port, resolver: CountingResolver(), trail: MemoryTrail(), shim: ends[1], echo: EchoCount())
            var answers: [String] = []
            for _ in 0..<count {
                answers.append(String(decoding: try await bench.exchange(Self.request), as: UTF8.self))
            }
            close(ends[1])
            try await upstream.close()
            try await group.shutdownGracefully()
            return (answers, trail.events.all.withLock { $0 })
        }
    }

    @Test("calls have our credential, share a connection, and their usage is in the row of their end")
    func shared() async throws {
        let provider = Provider(closes: false)
        let (answers, events) = try await Self.calls(3, to: provider)
        #expect(answers.count == 3 && answers.allSatisfy { $0.hasPrefix("HTTP/1.1 200 OK\r\n") }, "\(answers)")
        let calls = provider.calls.withLock { $0 }
        #expect(calls.count == 3 && calls.allSatisfy { $0.contains("x-api-key: real-key\r\n") })
        #expect(calls.allSatisfy { !$0.contains("sk-ant-api03") })
        #expect(provider.connections.withLock { $0 } == 1)
        let ended = events.filter { $0["phase"] == "ended" }
        #expect(ended.count == 3 && ended.allSatisfy { $0["model"]?["usage"]?["output"] == .integer(2) })
        #expect(!events.map(\.text).joined().contains("real-key"))
    }

    @Test("a provider that closes its connections is asked on new ones")
    func closing() async throws {
        let provider = Provider(closes: true)
        let (answers, _) = try await Self.calls(3, to: provider)
        #expect(answers.allSatisfy { $0.hasPrefix("HTTP/1.1 200 OK\r\n") }, "\(answers)")
        #expect(provider.calls.withLock { $0.count } == 3 && provider.connections.withLock { $0 } == 3)
    }

    @Test("a body for which there is no room is refused before anything is asked")
    func bodyRoom() async throws {
        var limits = EgressServerLimits()
        limits.launchBodies = 10
        let provider = Provider(closes: false)
        let (answers, _) = try await Self.calls(1, to: provider, limits: limits)
        #expect(answers.first?.hasPrefix("HTTP/1.1 503 ") == true, "\(answers)")
        #expect(provider.connections.withLock { $0 } == 0)
    }

    @Test("a provider without a trusted certificate gets no call and no credential")
    func untrusted() async throws {
        let provider = Provider(closes: false)
        let (answers, events) = try await Self.calls(1, to: provider, isTrusted: false)
        #expect(answers.first?.contains("x-orchestra-reason: certificate_not_accepted") == true, "\(answers)")
        #expect(provider.calls.withLock { $0.isEmpty })
        #expect(events.last?["reason"] == "certificate_not_accepted" && events.last?["model"]?["usage"] == .null)
    }

    @Test("a call that is not admitted is answered with the node's reason, and nothing is sent")
    func refused() async throws {
        let provider = Provider(closes: false)
        let (answers, events) = try await Self.calls(
            1, to: provider, acknowledgement: .init(refusal: .init(.budgetSpent, "the budget 'daily' is spent")))
        #expect(answers.first?.hasPrefix("HTTP/1.1 402 ") == true && answers.first?.contains("'daily'") == true)
        #expect(provider.calls.withLock { $0.isEmpty } && events.count == 1)
    }
}
