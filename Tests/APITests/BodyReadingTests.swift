import Domain
import HTTPTypes
import NIOCore
import NIOEmbedded
import NIOHTTP1
import NIOHTTPTypes
import NIOHTTPTypesHTTP1
import Testing

@testable import API

/// Bodies as they come over a connection, behind the parser and its filters.
@Suite("BodyReading")
struct BodyReadingTests {
    private typealias Channel = NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>

    /// What was taken of a body, and how it ended.
    private struct Outcome: Sendable {
        var text = ""
        var problem: Problem.Code?
        var isUnreadable = false
        var hasEnded = false
        var permits = 0
    }

    private enum Arrival: Sendable {
        case bytes(String)
        /// The client sends nothing more.
        case end
        /// Nothing comes until the deadline.
        case silence
    }

    /// Feeds the body of one PUT to a caller that takes all of it.
    @concurrent
    private static func read(_ head: String, _ arrivals: [Arrival], limit: Int = 1000) async throws -> Outcome {
        let channel = NIOAsyncTestingChannel()
        let wrapped = try await channel.testingEventLoop.executeInContext {
            let framing = FramingFilter()
            try channel.pipeline.syncOperations.addHandlers([
                framing.bytes,
                ByteToMessageHandler(HTTPRequestDecoder(leftOverBytesStrategy: .forwardBytes)),
                framing.parts, ConnectionReader(), HTTP1ToHTTPServerCodec(secure: false),
            ])
            return try Channel(
                wrappingChannelSynchronously: channel, configuration: .init(isOutboundHalfClosureEnabled: true))
        }
        try await channel.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: 1)).get()
        return try await wrapped.executeThenClose { inbound, _ in
            var parts = inbound.makeAsyncIterator()
            try await channel.writeInbound(ByteBuffer(string: "PUT /x HTTP/1.1\r\nHost: x\r\n\(head)\r\n\r\n"))
            guard case .head? = try await parts.next() else { throw HTTPParserError.unknown }
            let body = IncomingBody(limit: limit)
            async let taken = Self.take(body)
            async let sent: Void = Self.send(arrivals, to: channel, until: body)
            var permits = 0
            let hasEnded = await BodyReading(channel: channel, timeout: 10).feed(body, from: &parts) { permits += 1 }
            var outcome = await taken
            await sent
            outcome.hasEnded = hasEnded
            outcome.permits = permits
            return outcome
        }
    }

    private static func send(_ arrivals: [Arrival], to channel: NIOAsyncTestingChannel, until body: IncomingBody) async
    {
        for arrival in arrivals {
            switch arrival {
            // The filters' errors also come back from here.
            case .bytes(let text): _ = try? await channel.writeInbound(ByteBuffer(string: text))
            case .end: _ = try? await channel.close().get()
            case .silence:
                while !body.hasEnded { await channel.testingEventLoop.advanceTime(by: .seconds(10)) }
            }
        }
    }

    private static func take(_ body: IncomingBody) async -> Outcome {
        defer { body.close() }
        var outcome = Outcome()
        do {
            while let part = try await body.next() { outcome.text += String(buffer: part) }
        } catch let problem as Problem {
            outcome.problem = problem.code
        } catch {
            outcome.isUnreadable = error is HTTPParserError
        }
        return outcome
    }

    @Test(
        "a body is handed on whole, by its length and in chunks, and the client is permitted to send it once",
        arguments: [
            ("Content-Length: 10", ["0123456789"]), ("Content-Length: 10", ["01234", "56789"]),
            ("Transfer-Encoding: chunked", ["a\r\n0123456789\r\n0\r\n\r\n"]),
            ("Transfer-Encoding: chunked", ["4\r\n0123\r\n6\r", "\n456789\r\n0\r\n", "\r\n"]),
        ])
    func whole(head: String, parts: [String]) async throws {
        let outcome = try await Self.read(head, parts.map { .bytes($0) })
        #expect(outcome.text == "0123456789" && outcome.hasEnded && outcome.permits == 1)
        #expect(outcome.problem == nil && !outcome.isUnreadable)
    }

    @Test("a body without content ends at once")
    func empty() async throws {
        for head in ["Content-Length: 0", "X: y"] {
            let outcome = try await Self.read(head, [])
            #expect(outcome.text.isEmpty && outcome.hasEnded && outcome.problem == nil)
        }
    }

    @Test("a body above the limit is refused where it passes it")
    func tooLong() async throws {
        let outcome = try await Self.read(
            "Transfer-Encoding: chunked", [.bytes("5\r\n01234\r\n5\r\n56789\r\n5\r\nabcde\r\n")], limit: 12)
        #expect(outcome.problem == .tooLarge && !outcome.hasEnded && outcome.text == "0123456789")
    }

    @Test(
        "a body that ends before its end is refused, by its length and in chunks",
        arguments: [
            ("Content-Length: 10", "01234"), ("Content-Length: 10", ""),
            ("Transfer-Encoding: chunked", "5\r\n01234\r\n"), ("Transfer-Encoding: chunked", "5\r\n012"),
        ])
    func tooShort(head: String, text: String) async throws {
        let outcome = try await Self.read(head, (text.isEmpty ? [] : [.bytes(text)]) + [.end])
        #expect((outcome.problem == .malformed || outcome.isUnreadable) && !outcome.hasEnded, "\(outcome)")
    }

    @Test(
        "chunks with bad framing end the body with the parser's error",
        arguments: [
            "zz\r\n", "-1\r\nx", "5\r\n01234XX", "fffffffffffffffff\r\n", "5;\(String(repeating: "x", count: 20000))",
            "1\r\nx\r\n1;\(String(repeating: "y", count: 20000))\r\n",
        ])
    func badChunks(text: String) async throws {
        let outcome = try await Self.read("Transfer-Encoding: chunked", [.bytes(text)])
        #expect(outcome.isUnreadable && !outcome.hasEnded, "\(outcome)")
    }

    @Test("a client that stops in the middle is given up on")
    func slow() async throws {
        let outcome = try await Self.read("Content-Length: 10", [.bytes("01234"), .silence])
        #expect(outcome.problem == .timeout && outcome.text == "01234" && !outcome.hasEnded)
    }

    @Test("of a body that nobody asks for nothing is read, and its client gets no permission to send it")
    @concurrent
    func unwanted() async throws {
        let channel = NIOAsyncTestingChannel()
        let wrapped = try await channel.testingEventLoop.executeInContext {
            try Channel(wrappingChannelSynchronously: channel)
        }
        try await channel.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: 1)).get()
        try await wrapped.executeThenClose { inbound, _ in
            var parts = inbound.makeAsyncIterator()
            try await channel.writeInbound(HTTPRequestPart.body(ByteBuffer(string: "x")))
            let body = IncomingBody(limit: 10)
            body.close()
            var permits = 0
            let hasEnded = await BodyReading(channel: channel, timeout: 10).feed(body, from: &parts) { permits += 1 }
            #expect(!hasEnded && permits == 0)
            #expect(try await parts.next() == .body(ByteBuffer(string: "x")))
        }
    }
}
