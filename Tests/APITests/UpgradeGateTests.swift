import NIOCore
import NIOEmbedded
import NIOHTTP1
import Synchronization
import Testing

@testable import API

/// A connection's gate, with the parser before it.
private final class GateBench: Sendable {
    private struct HandedOver: Error {}

    let channel = NIOAsyncTestingChannel()
    private let handed = Atomic<Bool>(false)
    private let asked = Atomic<Bool>(false)

    var isHandedOver: Bool { self.handed.load(ordering: .sequentiallyConsistent) }
    var isDecided: Bool { self.asked.load(ordering: .sequentiallyConsistent) }

    /// Runs the body with a gate that refuses every upgrade with 403.
    static func with(_ body: (GateBench) async throws -> Void) async throws {
        let bench = GateBench()
        try await bench.channel.testingEventLoop.executeInContext {
            let encoder = HTTPResponseEncoder()
            let decoder = ByteToMessageHandler(HTTPRequestDecoder(leftOverBytesStrategy: .forwardBytes))
            let framing = FramingFilter()
            let pipeline = bench.channel.pipeline.syncOperations
            try pipeline.addHandlers([encoder, framing.bytes, decoder, framing.parts])
            try pipeline.addHandler(
                UpgradeGate(
                    UpgradeGate.Parts(
                        encoder: encoder, decoder: decoder, framing: framing, headTimeout: .hours(1),
                        result: bench.channel.eventLoop.makePromise(),
                        decide: { _, _ in
                            bench.asked.store(true, ordering: .sequentiallyConsistent)
                            let head = HTTPResponseHead(version: .http1_1, status: .forbidden)
                            return .refuse(head, ByteBuffer(string: "no"))
                        },
                        installHTTP: { _ in
                            bench.handed.store(true, ordering: .sequentiallyConsistent)
                            throw HandedOver()
                        },
                        wrapWebSocket: { _ in throw HandedOver() })))
        }
        try await bench.channel.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: 1)).get()
        try await body(bench)
        _ = try? await bench.channel.finish(acceptAlreadyClosed: true)  // closed already in most tests
    }

    func send(_ text: String) async {
        // The error of a gate that hands over to nothing is of no interest.
        _ = try? await self.channel.writeInbound(ByteBuffer(string: text))
    }
}

@Suite("UpgradeGate")
struct UpgradeGateTests {
    private static func request(
        version: String = "HTTP/1.1", method: String = "GET", upgrade: String = "websocket", extra: String = ""
    ) -> String {
        "\(method) /t \(version)\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: \(upgrade)\r\n\(extra)\r\n"
    }

    @Test("a request for a WebSocket that is refused is answered, and its connection ends with the answer")
    func refused() async throws {
        try await GateBench.with { bench in
            await bench.send(Self.request())
            var text = ""
            while !text.contains("no") {
                text += String(buffer: try await bench.channel.waitForOutboundWrite(as: ByteBuffer.self))
            }
            #expect(text.hasPrefix("HTTP/1.1 403 "))
            #expect(text.contains("Connection: close\r\n") && text.contains("Content-Length: 2\r\n"))
            #expect(bench.isDecided && !bench.isHandedOver)
        }
    }

    @Test("any other request is handed to the router without a decision")
    func plain() async throws {
        try await GateBench.with { bench in
            await bench.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            #expect(bench.isHandedOver && !bench.isDecided)
        }
    }

    @Test("an Upgrade in HTTP/1.0 is ignored (RFC 9110 §7.8)")
    func oldVersion() async throws {
        try await GateBench.with { bench in
            await bench.send(Self.request(version: "HTTP/1.0"))
            #expect(bench.isHandedOver && !bench.isDecided)
        }
    }

    @Test("what cannot be parsed is handed to the router, which answers it")
    func malformed() async throws {
        try await GateBench.with { bench in
            await bench.send("BREW /pot HTTP/1.1\r\n\r\n")
            #expect(bench.isHandedOver && !bench.isDecided)
        }
    }

    private static func head(_ text: String) throws -> HTTPRequestHead {
        let channel = EmbeddedChannel(handler: ByteToMessageHandler(HTTPRequestDecoder()))
        try channel.writeInbound(ByteBuffer(string: text))
        guard case .head(let head)? = try channel.readInbound(as: HTTPServerRequestPart.self) else {
            throw HTTPParserError.unknown
        }
        return head
    }

    @Test("only a GET of HTTP/1.1 without a body asks for a WebSocket")
    func asks() throws {
        #expect(UpgradeGate.asksForWebSocket(try Self.head(Self.request())))
        #expect(UpgradeGate.asksForWebSocket(try Self.head(Self.request(upgrade: "WebSocket"))))
        for text in [
            Self.request(version: "HTTP/1.0"), Self.request(method: "POST"), Self.request(upgrade: "h2c"),
            Self.request(extra: "Content-Length: 2\r\n"), Self.request(extra: "Transfer-Encoding: chunked\r\n"),
            "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n",
        ] {
            #expect(!UpgradeGate.asksForWebSocket(try Self.head(text)), "\(text)")
        }
    }

    @Test("the answer to an upgrade has the API's headers and the handshake's, which count where both have one")
    func answer() {
        let headers = UpgradeGate.answer(
            HTTPHeaders([("x-request-id", "r1"), ("connection", "close")]),
            handshake: HTTPHeaders([("Connection", "Upgrade")]))
        #expect(headers["X-Request-ID"] == ["r1"])
        #expect(headers["connection"] == ["Upgrade"])
    }
}
