import NIOCore
import NIOEmbedded
import NIOHTTP1
import Testing

@testable import API

@Suite("ConnectionReader")
struct ConnectionReaderTests {
    private static func read(
        version: HTTPVersion = .http1_1, method: HTTPMethod = .GET, _ headers: [(String, String)] = []
    ) throws -> HTTPHeaders {
        let channel = EmbeddedChannel(handler: ConnectionReader())
        let head = HTTPRequestHead(version: version, method: method, uri: "/", headers: HTTPHeaders(headers))
        try channel.writeInbound(HTTPServerRequestPart.head(head))
        guard case .head(let read)? = try channel.readInbound(as: HTTPServerRequestPart.self) else {
            throw HTTPParserError.unknown
        }
        return read.headers
    }

    @Test("a connection of HTTP/1.1 stays open unless the client closes it")
    func keepAlive() throws {
        #expect(try Self.read()["connection"].isEmpty)
        #expect(try Self.read([("Connection", "Keep-Alive, CLOSE")])["connection"] == ["close"])
    }

    @Test("a connection of HTTP/1.0 is closed unless the client keeps it")
    func oldVersion() throws {
        #expect(try Self.read(version: .http1_0)["connection"] == ["close"])
        #expect(try Self.read(version: .http1_0, [("Connection", "keep-alive")])["connection"] == ["keep-alive"])
    }

    @Test("a connection is closed behind an upgrade or a tunnel that was refused")
    func tunnels() throws {
        #expect(try Self.read([("Upgrade", "h2c")])["connection"] == ["close"])
        #expect(try Self.read(method: .CONNECT)["connection"] == ["close"])
    }

    @Test("HTTP/1.0 gets no interim response")
    func interim() throws {
        #expect(try Self.read(version: .http1_0, [("Expect", "100-continue")])["expect"].isEmpty)
        #expect(try Self.read([("Expect", "100-continue")])["expect"] == ["100-continue"])
    }
}

@Suite("ReaderWatch")
struct ReaderWatchTests {
    @Test("a stream is closed when its reader closes its side")
    func streams() throws {
        let channel = EmbeddedChannel(handler: ReaderWatch())
        try channel.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        channel.pipeline.triggerUserOutboundEvent(StreamBegan(), promise: nil)
        #expect(channel.isActive)
        channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        #expect(!channel.isActive)
    }

    @Test("a stream whose reader has closed its side already is closed as it begins")
    func late() throws {
        let channel = EmbeddedChannel(handler: ReaderWatch())
        try channel.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        #expect(channel.isActive)
        channel.pipeline.triggerUserOutboundEvent(StreamBegan(), promise: nil)
        #expect(!channel.isActive)
    }
}

@Suite("HTTPConversation")
struct HTTPConversationTests {
    @Test(
        "a Content-Length above the limit is refused at once, however many digits it has",
        arguments: ["11", "9223372036854775807", "9223372036854775808", "18446744073709551616", "00000000000000000011"])
    func exceeds(length: String) { #expect(HTTPConversation.exceeds(10, length)) }

    @Test("a Content-Length up to the limit, or none, is not", arguments: ["10", "0", "000010", nil, "", "x"])
    func fits(length: String?) { #expect(!HTTPConversation.exceeds(10, length)) }
}
