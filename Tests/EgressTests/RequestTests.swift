import Domain
import Egress
import Testing

@Suite("Plain HTTP through the proxy")
struct RequestTests {
    private static let plain = "http://plain.example.test/"

    private func play(_ text: String, _ rest: [String] = []) throws -> PlayedConnection {
        try EgressFixture().play(([text] + rest).map { Array($0.utf8) })
    }

    private static func get(_ target: String = Self.plain, _ fields: String = "", host: String = "plain.example.test")
        -> String
    {
        "GET \(target) HTTP/1.1\r\nHost: \(host)\r\n\(fields)\r\n"
    }

    private static func post(_ fields: String, _ body: String = "") -> String {
        "POST http://upload.example.test/v1/a HTTP/1.1\r\nHost: upload.example.test\r\n\(fields)\r\n\(body)"
    }

    static let refused: [(String, String, EgressReason)] = [
        ("H1", get(host: "other"), .hostMismatch), ("H1", get(host: "plain.example.test:81"), .hostMismatch),
        ("H1", get("http://plain.example.test:81/"), .hostMismatch),
        ("H1", get(plain, "Host: plain.example.test\r\n"), .hostMismatch),
        ("H1", "GET \(plain) HTTP/1.1\r\n\r\n", .hostMismatch), ("H1", get(host: ""), .invalidHost),
        ("H1", get(host: "plain.example.test, other"), .invalidHost),
        ("H1", get(plain, "host: other\r\n"), .hostMismatch),
        ("H1", "CONNECT api.example.test:443 HTTP/1.1\r\nHost: other:443\r\n\r\n", .hostMismatch),
        ("H1", "CONNECT api.example.test:443 HTTP/1.1\r\nHost: api.example.test:80\r\n\r\n", .hostMismatch),
        ("H2", "GET / HTTP/1.1\r\nHost: plain.example.test\r\n\r\n", .notAProxyRequest),
        ("H2", "OPTIONS * HTTP/1.1\r\nHost: plain.example.test\r\n\r\n", .notAProxyRequest),
        ("H2", "GET plain.example.test HTTP/1.1\r\n\r\n", .notAProxyRequest),
        ("H2", "GET //plain.example.test/ HTTP/1.1\r\n\r\n", .notAProxyRequest),
        ("H3", get("https://plain.example.test/"), .schemeNotSupported),
        ("H3", get("ftp://plain.example.test/"), .schemeNotSupported),
        ("H3", get("ws://plain.example.test/"), .schemeNotSupported),
        ("H3", get("http:plain.example.test"), .notAProxyRequest),
        ("H4", post("Content-Length: 1\r\nContent-Length: 1\r\n", "a"), .ambiguousFraming),
        ("H4", post("Content-Length: 1\r\nContent-Length: 2\r\n", "ab"), .ambiguousFraming),
        ("H4", post("Content-Length: 1, 1\r\n", "a"), .ambiguousFraming),
        ("H4", post("Content-Length: +1\r\n", "a"), .ambiguousFraming),
        ("H4", post("Content-Length: -1\r\n"), .ambiguousFraming),
        ("H4", post("Content-Length: 0x1\r\n", "a"), .ambiguousFraming),
        ("H4", post("Content-Length:\r\n"), .ambiguousFraming),
        ("H4", post("Content-Length: 99999999999999999999\r\n"), .ambiguousFraming),
        ("H4", post("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), .ambiguousFraming),
        ("H4", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), .ambiguousFraming),
        ("H4", post("Transfer-Encoding: chunked, identity\r\n"), .ambiguousFraming),
        ("H4", post("Transfer-Encoding: gzip, chunked\r\n"), .ambiguousFraming),
        ("H4", post("Transfer-Encoding: xchunked\r\n"), .ambiguousFraming),
        ("H4", post("Transfer-Encoding: \u{0b}chunked\r\n"), .malformedRequest),
        ("H4", post("Transfer-Encoding : chunked\r\n"), .malformedRequest),
        ("H4", post("Transfer_Encoding: chunked\r\n"), .malformedRequest),
        ("H4", post("Content_Length: 1\r\n", "a"), .malformedRequest),
        ("H4", post("Content.Length: 1\r\n", "a"), .malformedRequest),
        ("H4", "GET \(plain) HTTP/1.1\nHost: plain.example.test\n\n", .malformedRequest),
        ("H4", "GET \(plain) HTTP/1.1\r\nHost: plain.example.test\n\r\n", .malformedRequest),
        ("H4", "GET \(plain) HTTP/1.1\r\nHost: plain.example.test\r\rX: y\r\n\r\n", .malformedRequest),
        ("H4", get(plain, "X: a\r\n b\r\n"), .malformedRequest),
        ("H4", get(plain, "X: a\r\n\tb\r\n"), .malformedRequest),
        ("H4", " " + get(), .malformedRequest), ("H4", "\r\n" + get(), .malformedRequest),
        ("H4", "GET \(plain) HTTP/1.1\r\n Host: plain.example.test\r\n\r\n", .malformedRequest),
        ("H4", get(plain, "X: a\0b\r\n"), .malformedRequest), ("H4", get(plain, "X\r\n"), .malformedRequest),
        ("H4", get(plain, ": a\r\n"), .malformedRequest), ("H4", get(plain, "X(: a\r\n"), .malformedRequest),
        ("H4", get(plain, "X y: a\r\n"), .malformedRequest), ("H4", get(plain, "X: \u{7f}\r\n"), .malformedRequest),
        ("H4", get(plain, "Connection: host\r\n"), .malformedRequest),
        ("H4", post("Content-Length: 1\r\nConnection: content-length\r\n", "a"), .malformedRequest),
        ("H4", "CONNECT api.example.test:443 HTTP/1.1\r\nContent-Length: 4\r\n\r\n", .ambiguousFraming),
        ("H4", "CONNECT api.example.test:443 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", .ambiguousFraming),
        ("H4", post("Transfer-Encoding: chunked\r\n", "x\r\n"), .malformedBody),
        ("H4", post("Transfer-Encoding: chunked\r\n", "1\r\nab\r\n"), .malformedBody),
        ("H4", post("Transfer-Encoding: chunked\r\n", "1;a=b\r\nx\r\n0\r\n\r\n"), .malformedBody),
        ("H4", post("Transfer-Encoding: chunked\r\n", "1\nx\n0\n\n"), .malformedBody),
        ("H4", post("Transfer-Encoding: chunked\r\n", "\r\n"), .malformedBody),
        ("H4", post("Transfer-Encoding: chunked\r\n", "0\r\nX: y\r\n\r\n"), .malformedBody),
        ("H4", post("Transfer-Encoding: chunked\r\n", "fffffffffffffffff\r\n"), .malformedBody),
        ("H4", post("Transfer-Encoding: chunked\r\n", "1\r\na\r\n"), .incompleteRequest),
        ("H4", post("Content-Length: 5\r\n", "abc"), .incompleteRequest),
        ("H8", "TRACE \(plain) HTTP/1.1\r\n\r\n", .methodNotAllowed),
        ("H8", "TRACK \(plain) HTTP/1.1\r\n\r\n", .methodNotAllowed),
        ("H8", "get \(plain) HTTP/1.1\r\n\r\n", .methodNotAllowed),
        ("H8", "BREW \(plain) HTTP/1.1\r\n\r\n", .methodNotAllowed),
        ("H8", "POST \(plain) HTTP/1.1\r\nHost: plain.example.test\r\n\r\n", .methodNotAllowed),
        ("H8", "connect api.example.test:443 HTTP/1.1\r\n\r\n", .methodNotAllowed),
        ("H8", "G@T \(plain) HTTP/1.1\r\n\r\n", .malformedRequest),
        ("H9", get("http://plain.example.test/a/../b"), .invalidPath),
        ("H9", get("http://plain.example.test/a%2f..%2fb"), .invalidPath),
        ("H9", get("http://plain.example.test//x"), .invalidPath),
        ("H9", get("http://plain.example.test/a//x"), .invalidPath),
        ("H9", get("http://plain.example.test/%2e%2e/x"), .invalidPath),
        ("H9", get("http://plain.example.test/."), .invalidPath),
        ("H9", get("http://plain.example.test/.%2E;a/x"), .invalidPath),
        ("H9", get("http://plain.example.test/a%5cb"), .invalidPath),
        ("H9", get("http://plain.example.test/a\\b"), .invalidPath),
        ("H9", get("http://plain.example.test/a%00"), .invalidPath),
        ("H9", get("http://plain.example.test/a%0d%0ab"), .invalidPath),
        ("H9", get("http://plain.example.test/a%"), .invalidPath),
        ("H9", get("http://plain.example.test/a%g1"), .invalidPath),
        ("H9", get("http://plain.example.test/a#b"), .invalidPath),
        ("H9", get("http://plain.example.test/a?b#c"), .invalidPath),
        ("H9", get("http://plain.example.test/\u{e9}"), .invalidPath),
        ("H9", get("http://plain.example.test/a?\u{e9}"), .invalidPath),
        ("H9", get("http://plain.example.test/\"a"), .invalidPath),
        ("H9", get("http://plain.example.test\\@evil.test/"), .invalidHost),
        ("H9", get("http://plain.example.test#@evil.test/"), .invalidHost),
        ("H9", get("http:///x"), .invalidHost), ("H9", get("http://?x"), .invalidHost),
        ("N10", get("http://u:p@plain.example.test/"), .invalidHost),
        ("H16", get(plain, "Connection: Upgrade\r\nUpgrade: websocket\r\n"), .upgradeNotAllowed),
        ("H16", get(plain, "Upgrade: h2c, WebSocket\r\n"), .upgradeNotAllowed),
        ("T9", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", .versionNotSupported),
        ("version", "GET \(plain) HTTP/1.0\r\n\r\n", .versionNotSupported),
        ("version", "GET \(plain)\r\n\r\n", .malformedRequest),
        ("version", "GET \(plain) HTTP/1.2\r\n\r\n", .versionNotSupported),
        ("version", "GET \(plain) http/1.1\r\n\r\n", .malformedRequest),
        ("version", "GET \(plain) HTTP/1.1 \r\n\r\n", .malformedRequest),
        ("version", "GET  \(plain) HTTP/1.1\r\n\r\n", .malformedRequest),
        ("version", "GET\t\(plain)\tHTTP/1.1\r\n\r\n", .malformedRequest),
        ("version", "GET \(plain) HTTP/11\r\n\r\n", .malformedRequest),
        ("half", "GET \(plain) HTTP/1.1\r\nHost: pl", .incompleteRequest),
        ("half", "GE", .incompleteRequest), ("TLS", "\u{16}\u{03}\u{01}", .malformedRequest),
        ("long", get(plain, "X: \(String(repeating: "a", count: 40_000))\r\n"), .headTooLarge),
        ("long", "GET " + String(repeating: "a", count: 40_000), .headTooLarge),
        ("long", get(plain, String(repeating: "X: a\r\n", count: 200)), .headTooLarge),
        (
            "X1", "POST http://upload.example.test/v2/files HTTP/1.1\r\nHost: upload.example.test\r\n\r\n",
            .pathNotAllowed
        ),
        (
            "X11", "POST http://upload.example.test/v1/a/../files HTTP/1.1\r\nHost: upload.example.test\r\n\r\n",
            .invalidPath
        ),
        (
            "listener", "GET http://api.example.test:443/ HTTP/1.1\r\nHost: api.example.test:443\r\n\r\n",
            .doorNotAllowed
        ),
        ("host", "GET http://other.test/ HTTP/1.1\r\nHost: other.test\r\n\r\n", .hostNotAllowed),
        ("N6", "GET http://evil.pkg.example.test/ HTTP/1.1\r\nHost: evil.pkg.example.test\r\n\r\n", .denied),
        ("A1", "GET http://127.0.0.1/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", .addressNotAllowed),
        ("H11", "GET http://169.254.169.254/latest HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n", .addressNotAllowed),
    ]

    @Test("an ambiguous or unlisted request is refused before anything reaches the network", arguments: Self.refused)
    func refusal(_ id: String, _ text: String, _ reason: EgressReason) throws {
        let played = try self.play(text)
        #expect(played.reason == reason && played.isClosed)
        #expect(played.machine.status == reason.status)
        // The end of the input in a body is noticed after the head was forwarded.
        #expect(played.isSilent || reason == .incompleteRequest)
        let single = try EgressFixture().play(text.utf8.map { [$0] })
        #expect(single.reason == reason)
    }

    static let forwarded: [(String, String, String)] = [
        ("plain", get(), "GET / HTTP/1.1\r\nhost: plain.example.test\r\nconnection: close\r\n\r\n"),
        (
            "no path", get("http://plain.example.test"),
            "GET / HTTP/1.1\r\nhost: plain.example.test\r\nconnection: close\r\n\r\n"
        ),
        (
            "query", get("http://plain.example.test?a=//..&b"),
            "GET /?a=//..&b HTTP/1.1\r\nhost: plain.example.test\r\nconnection: close\r\n\r\n"
        ),
        (
            "N1", get("HTTP://Plain.Example.TEST:80/a", host: "PLAIN.example.test."),
            "GET /a HTTP/1.1\r\nhost: plain.example.test\r\nconnection: close\r\n\r\n"
        ),
        (
            "H9", get("http://plain.example.test/%61%20b;x"),
            "GET /%61%20b;x HTTP/1.1\r\nhost: plain.example.test\r\nconnection: close\r\n\r\n"
        ),
        (
            "H6", get(plain, "Upgrade: h2c\r\nHTTP2-Settings: AAA\r\nConnection: Upgrade, HTTP2-Settings\r\nA: b\r\n"),
            "GET / HTTP/1.1\r\nhost: plain.example.test\r\nA: b\r\nconnection: close\r\n\r\n"
        ),
        (
            "hop by hop",
            get(
                plain,
                "Proxy-Authorization: Basic x\r\nProxy_Connection: a\r\nTE: trailers\r\nKeep-Alive: 5\r\nConnection: X-Private, keep-alive\r\nX-Private: 1\r\nX_Private: 2\r\nAccept:  */* \r\n"
            ),
            "GET / HTTP/1.1\r\nhost: plain.example.test\r\nAccept: */*\r\nconnection: close\r\n\r\n"
        ),
        (
            "H5", get() + "GET http://evil.test/ HTTP/1.1\r\nHost: evil.test\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: plain.example.test\r\nconnection: close\r\n\r\n"
        ),
        (
            "length", post("Content-Length: 3\r\n", "abcGET http://evil.test/ HTTP/1.1\r\n\r\n"),
            "POST /v1/a HTTP/1.1\r\nhost: upload.example.test\r\nContent-Length: 3\r\nconnection: close\r\n\r\nabc"
        ),
        (
            "chunked",
            post("Transfer-Encoding: Chunked\r\n", "3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n"),
            "POST /v1/a HTTP/1.1\r\nhost: upload.example.test\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n"
        ),
    ]

    @Test(
        "an allowed request goes on in origin form, alone, without hop-by-hop and proxy headers",
        arguments: Self.forwarded)
    func forward(_ id: String, _ text: String, _ expected: String) throws {
        let played = try self.play(text)
        #expect(played.reason == nil && played.forwardedText == expected)
        #expect(played.dials == ["203.0.113.5:80"] && played.questions.count == 1 && played.machine.status == nil)
    }

    @Test("every split of a request in two gives the same bytes", arguments: [0, 6, 9])
    func everySplit(_ index: Int) throws {
        let text = Array(Self.forwarded[index].1.utf8)
        let whole = try EgressFixture().play([text])
        for cut in 1..<text.count {
            let split = try EgressFixture().play([Array(text[..<cut]), Array(text[cut...])])
            #expect(split.reason == nil && split.forwarded == whole.forwarded)
        }
        #expect(try EgressFixture().play(text.map { [$0] }).forwarded == whole.forwarded)
    }

    @Test("clients that send CONNECT with HTTP/1.0 and without Host, or with Host and no port, are served")
    func oldClients() throws {
        #expect(try self.play("CONNECT api.example.test:443 HTTP/1.0\r\n\r\n").reason == nil)
        #expect(try self.play("CONNECT api.example.test:443 HTTP/1.1\r\nHost: api.example.test\r\n\r\n").reason == nil)
        #expect(try self.play("CONNECT api.example.test:443 HTTP/1.1\r\nContent-Length: 0\r\n\r\n").reason == nil)
    }

    @Test("the answer of the server is relayed, and its end closes the connection")
    func answer() throws {
        var connection = PlayedConnection(
            machine: TunnelMachine(try EgressFixture().configuration),
            answers: [[EgressAddress(version4Bits: 0xcb00_7105)]])
        connection.perform(connection.machine.received(Array(Self.get("http://plain.example.test/a?key=secret").utf8)))
        connection.perform(
            connection.machine.receivedFromServer(
                Array("HTTP/1.1 302 Found\r\nLocation: http://evil.test/\r\n\r\n".utf8)))
        connection.perform(connection.machine.receivedEndFromServer())
        #expect(
            connection.answeredText.hasPrefix("HTTP/1.1 302") && connection.isClosed && connection.questions.count == 1)
        #expect(connection.events.map(\.phase) == [.decided, .ended] && connection.events.first?.path == "/a")
        let caller = EgressCaller(
            workspace: try WorkspaceID("w"), job: try JobID("018f0000-0000-7000-8000-000000000001"), launch: 1)
        let line = try #require(connection.events.last).json(
            caller: caller, generation: 3, time: 5, duration: .milliseconds(7))
        #expect(!line.text.contains("secret") && line["decision"] == "allow" && line["duration_ms"] == 7)
    }

    @Test("an answer to HEAD has no body")
    func head() throws {
        let played = try self.play("HEAD http://evil.test/ HTTP/1.1\r\nHost: evil.test\r\n\r\n")
        #expect(played.reason == .hostNotAllowed && played.answeredText.hasSuffix("\r\n\r\n"))
    }
}
