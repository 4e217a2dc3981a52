import NIOCore
import NIOHTTP1
import Testing

@testable import API

@Suite("RequestLine")
struct RequestLineTests {
    private static func error(_ line: String) -> HTTPParserError? {
        do throws(HTTPParserError) {
            try RequestLine.check(ByteBuffer(string: line).readableBytesView)
            return nil
        } catch {
            return error
        }
    }

    @Test(
        "a method that HTTP defines, a target and HTTP/1.x pass",
        arguments: ["GET / HTTP/1.1\r\n", "DELETE /a?b=c HTTP/1.0\r\n", "OPTIONS * HTTP/1.1\r\n", "GET / HTTP/1.1\n"])
    func passes(line: String) { #expect(Self.error(line) == nil) }

    @Test(
        "a token that is no method of HTTP is an unknown method, whatever a parser knows",
        arguments: ["FOO", "BREW", "get", "PURGE", "QUERY", "M-SEARCH", "PROPFIND", "DESCRIBE"])
    func methods(method: String) { #expect(Self.error("\(method) /ai/jobs HTTP/1.1\r\n") == .invalidMethod) }

    @Test(
        "another protocol or version is refused",
        arguments: ["RTSP/1.0", "ICE/1.0", "HTTP/2.0", "HTTP/0.9", "http/1.1", "HTTP/1.10", "HTTP/1.", "HTTP/1.x"])
    func versions(version: String) { #expect(Self.error("GET /ai/jobs \(version)\r\n") == .invalidVersion) }

    @Test(
        "a line of another form is malformed",
        arguments: [
            "GET  /ai/jobs HTTP/1.1\r\n", "GET /ai/jobs\r\n", " GET / HTTP/1.1\r\n", "GET / HTTP/1.1 \r\n",
            "G(T / HTTP/1.1\r\n", "GET\t/ HTTP/1.1\r\n", "GET / HTTP/1.1",
        ])
    func malformed(line: String) { #expect(Self.error(line) == .invalidConstant) }

    private static func resolved(_ uri: String, host: String? = "localhost") throws -> HTTPRequestHead {
        var head = HTTPRequestHead(version: .http1_1, method: .GET, uri: uri)
        if let host { head.headers.add(name: "Host", value: host) }
        return try RequestLine.resolved(head)
    }

    @Test("the authority of an absolute target replaces the Host header")
    func absolute() throws {
        let head = try Self.resolved("http://evil.test/ai/jobs?limit=1")
        #expect(head.uri == "/ai/jobs?limit=1")
        #expect(head.headers["host"] == ["evil.test"])
    }

    @Test(
        "an absolute target without a path means the root",
        arguments: [("https://a:1", "/"), ("HTTP://a?x=1", "/?x=1"), ("http://a/", "/")])
    func root(uri: String, path: String) throws { #expect(try Self.resolved(uri).uri == path) }

    @Test("an absolute target does not make up for a Host header that is missing")
    func missingHost() throws { #expect(try Self.resolved("http://a/", host: nil).headers["host"].isEmpty) }

    @Test(
        "a target of another scheme, without an authority, or of no form is refused",
        arguments: ["ftp://a/ai/jobs", "http:///ai/jobs", "http://user@a/", "mailto:a@b", "http:/ai/jobs", "ai/jobs"])
    func refused(uri: String) {
        #expect(throws: HTTPParserError.invalidURL) { try Self.resolved(uri) }
    }

    @Test("a target in origin form stays as it is", arguments: ["/ai/jobs", "//a/b", "/?u=http://b/", "*"])
    func origin(uri: String) throws {
        let head = try Self.resolved(uri)
        #expect(head.uri == uri && head.headers["host"] == ["localhost"])
    }
}
