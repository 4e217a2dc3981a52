import NIOCore
import NIOEmbedded
import NIOHTTP1
import Testing

@testable import API

/// The parser of one connection with the filter around it.
private struct FramingBench {
    let channel = EmbeddedChannel()

    init() throws {
        let framing = FramingFilter()
        try self.channel.pipeline.syncOperations.addHandlers([
            framing.bytes, ByteToMessageHandler(HTTPRequestDecoder(leftOverBytesStrategy: .forwardBytes)),
            framing.parts,
        ])
        try self.channel.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
    }

    /// Sends bytes; the parser error that they cause, nil for none.
    func send(_ text: String) -> HTTPParserError? { self.send(Array(text.utf8)) }

    func send(_ bytes: [UInt8]) -> HTTPParserError? {
        do {
            try self.channel.writeInbound(ByteBuffer(bytes: bytes))
            return nil
        } catch {
            return error as? HTTPParserError
        }
    }

    /// What the router's side got, in short.
    func parts() throws -> [String] {
        var parts: [String] = []
        while let part = try self.channel.readInbound(as: HTTPServerRequestPart.self) {
            switch part {
            case .head(let head): parts.append("\(head.method.rawValue) \(head.uri)")
            case .body(let bytes): parts.append(String(buffer: bytes))
            case .end: parts.append("end")
            }
        }
        return parts
    }
}

@Suite("FramingFilter")
struct FramingFilterTests {
    private static let chunked = "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"

    @Test("requests that come in one piece are read one after another")
    func pipelined() throws {
        let bench = try FramingBench()
        let error = bench.send(
            "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\na\nb\n" + Self.chunked + "2\r\nhi\r\n0\r\n\r\n"
                + "GET /b HTTP/1.1\r\nHost: h\r\n\r\n")
        #expect(error == nil)
        #expect(try bench.parts() == ["POST /a", "a\nb\n", "end", "POST /a", "hi", "end", "GET /b", "end"])
    }

    @Test("requests are read the same when every byte comes alone")
    func bytewise() throws {
        let bench = try FramingBench()
        let text = Self.chunked + "2\r\nhi\r\n0\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n"
        for byte in text.utf8 { #expect(bench.send([byte]) == nil) }
        #expect(try bench.parts() == ["POST /a", "h", "i", "end", "GET /b", "end"])
    }

    @Test(
        "an unknown method is refused as such, also behind another request in the same bytes",
        arguments: ["", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", chunked + "2\r\nhi\r\n0\r\n\r\n"])
    func unknownMethod(before: String) throws {
        #expect(try FramingBench().send(before + "BREW /pot HTTP/1.1\r\nHost: h\r\n\r\n") == .invalidMethod)
    }

    @Test("a method that never ends is refused before its line does")
    func longMethod() throws {
        #expect(try FramingBench().send(String(repeating: "A", count: 33)) == .invalidMethod)
    }

    @Test("bytes that cannot begin a request are refused before a line is complete")
    func garbage() throws { #expect(try FramingBench().send([0x16, 3, 1, 2, 0]) == .invalidConstant) }

    @Test("a request line that does not end is refused at its limit")
    func longLine() throws {
        let bench = try FramingBench()
        #expect(bench.send("GET /" + String(repeating: "a", count: 17 * 1024)) == .headerOverflow)
    }

    @Test("a few empty lines before a request are skipped, many are refused")
    func emptyLines() throws {
        let bench = try FramingBench()
        #expect(bench.send("\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n") == nil)
        #expect(try bench.parts() == ["GET /", "end"])
        #expect(bench.send(String(repeating: "\r\n", count: 17)) == .invalidConstant)
    }

    @Test(
        "a chunk extension, leading zeros of a chunk size, and trailers are bounded",
        arguments: [
            "2;" + String(repeating: "a", count: 20_000), String(repeating: "0", count: 20_000),
            "0\r\nX: " + String(repeating: "a", count: 20_000),
        ])
    func overhead(chunk: String) throws {
        #expect(try FramingBench().send(Self.chunked + chunk + "\r\n{}\r\n0\r\n\r\n") != nil)
    }

    @Test("extensions of many chunks are bounded together")
    func extensions() throws {
        let bench = try FramingBench()
        _ = bench.send(Self.chunked)
        var sent = 0
        while sent < 1000, bench.send("1;" + String(repeating: "a", count: 200) + "\r\nx\r\n") == nil { sent += 1 }
        #expect((30...60).contains(sent))
    }

    @Test("a body in chunks of one byte is within the bound")
    func smallChunks() throws {
        let bench = try FramingBench()
        #expect(bench.send(Self.chunked + String(repeating: "1\r\nx\r\n", count: 20_000) + "0\r\n\r\n") == nil)
        #expect(try bench.parts().last == "end")
    }

    @Test("a client that goes on sending after its request was refused is cut off")
    func flood() throws {
        let bench = try FramingBench()
        #expect(bench.send("BREW /pot HTTP/1.1\r\n\r\n") == .invalidMethod)
        let part = [UInt8](repeating: 0x61, count: 64 * 1024)
        for _ in 0..<15 { _ = bench.send(part) }
        #expect(bench.channel.isActive)
        _ = bench.send(part)
        #expect(!bench.channel.isActive)
    }

    @Test("nothing that follows a refused request reaches the router")
    func dropped() throws {
        let bench = try FramingBench()
        #expect(bench.send("GET ftp://a/b HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n") != nil)
        #expect(bench.send("GET /b HTTP/1.1\r\nHost: h\r\n\r\n") == nil)
        #expect(try bench.parts().isEmpty)
    }

    @Test(
        "a transfer coding other than chunked, and any in HTTP/1.0, is refused",
        arguments: [
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        ])
    func codings(text: String) throws {
        let bench = try FramingBench()
        #expect(bench.send(text) != nil)
        #expect(try bench.parts().isEmpty)
    }

    @Test("the spelling of the chunked coding does not matter (RFC 9112 §7)")
    func spelling() throws {
        let text = "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
        let bench = try FramingBench()
        #expect(bench.send(text) == nil)
        #expect(try bench.parts() == ["POST /a", "hi", "end"])
    }

    @Test("an absolute target reaches the router in origin form")
    func absolute() throws {
        let bench = try FramingBench()
        #expect(bench.send("GET http://a.test/b HTTP/1.1\r\nHost: h\r\n\r\n") == nil)
        #expect(try bench.parts() == ["GET /b", "end"])
    }

    @Test("bytes behind a request for an upgrade are kept for the protocol that follows")
    func upgrade() throws {
        let bench = try FramingBench()
        let head = "GET /t HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        #expect(bench.send(Array(head.utf8) + [0x81, 0x80, 1, 2, 3, 4]) == nil)
        #expect(try bench.parts() == ["GET /t", "end"])
    }
}
