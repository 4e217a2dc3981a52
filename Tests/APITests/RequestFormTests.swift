import HTTPTypes
import Testing

@testable import API

@Suite("RequestForm")
struct RequestFormTests {
    // MARK: - Target and headers

    @Test("a plain path passes, with a query or without", arguments: ["/", "/ai/jobs", "/ai/jobs?limit=1&x=%20/../"])
    func plain(path: String) { #expect(code { try RequestForm.check(request(path)) } == nil) }

    @Test(
        "a path with a second spelling is malformed",
        arguments: [
            "", "ai/jobs", "//ai/jobs", "/ai/../audit", "/ai/./jobs", "/.git", "/ai/jobs/", "/ai/%6aobs", "/ai/jobs#x",
            "/ai/jöbs", "/ai/jobs;x", "/ai\\jobs", "*",
        ])
    func spellings(path: String) { #expect(code { try RequestForm.check(request(path)) } == .malformed) }

    @Test("a public path may have a form that others may not")
    func publicPath() {
        let path = "/.well-known/security.txt"
        #expect(code { try RequestForm.check(request(path)) } == .malformed)
        #expect(code { try RequestForm.check(request(path), publicPaths: [path]) } == nil)
    }

    @Test("a target has at most 2,048 bytes")
    func long() {
        let longest = "/" + String(repeating: "a", count: 2047)
        #expect(code { try RequestForm.check(request(longest)) } == nil)
        #expect(code { try RequestForm.check(request(longest + "a")) } == .malformed)
    }

    @Test(
        "a header that decides something occurs once",
        arguments: [HTTPField.Name.authorization, .contentType, .contentLength, .origin, .requestID])
    func duplicates(name: HTTPField.Name) {
        #expect(code { try RequestForm.check(request("/", [(name, "a")])) } == nil)
        #expect(code { try RequestForm.check(request("/", [(name, "a"), (name, "a")])) } == .malformed)
    }

    // MARK: - Host

    @Test(
        "the name of an authority comes without its port and in lower case",
        arguments: [
            ("localhost", "localhost"), ("LocalHost:80", "localhost"), ("127.0.0.1:65535", "127.0.0.1"),
            ("[::1]", "[::1]"), ("[::1]:8080", "[::1]"),
        ])
    func hostNames(authority: String, name: String) { #expect(RequestForm.hostName(authority) == name) }

    @Test(
        "an authority of another form has no name",
        arguments: ["localhost:", "localhost:x", "localhost:123456", "[::1", "[::1]x", "a:80:80", "", "a:+1"])
    func malformedHosts(authority: String) { #expect(RequestForm.hostName(authority).isEmpty) }

    @Test("a request that names another server is misdirected")
    func otherHost() {
        let allowed: Set = ["localhost"]
        #expect(code { try RequestForm.checkHost(request("/", host: "localhost:1"), allowed: allowed) } == nil)
        #expect(code { try RequestForm.checkHost(request("/", host: "evil.test"), allowed: allowed) } == .misdirected)
    }

    @Test("a name that only looks like this server's is another one")
    func lookalikes() {
        // The Kelvin sign is k in lower case.
        let allowed: Set = ["k.test"]
        #expect(
            code { try RequestForm.checkHost(request("/", host: "\u{212a}.test"), allowed: allowed) } == .misdirected)
    }

    @Test("a request without a Host header, or with two, is malformed")
    func hostCount() {
        #expect(code { try RequestForm.checkHost(request("/", host: nil), allowed: []) } == .malformed)
        #expect(code { try RequestForm.checkHost(request("/", host: ""), allowed: []) } == .malformed)
        let two = request("/", [(.host, "localhost")])
        #expect(code { try RequestForm.checkHost(two, allowed: ["localhost"]) } == .malformed)
    }

    @Test("where any name is served, it must still be one")
    func anyHost() {
        #expect(code { try RequestForm.checkHost(request("/", host: "a.test"), allowed: []) } == nil)
        #expect(code { try RequestForm.checkHost(request("/", host: "a.test:x"), allowed: []) } == .malformed)
    }

    // MARK: - Addresses

    private static func client(_ direct: String, _ forwarded: [String]) throws -> String {
        let proxies = try ["10.0.0.0/8"].map { try #require(AddressRange($0)) }
        let peer = try #require(IPAddress(direct))
        return try RequestForm.clientAddress(peer, forwarded: forwarded, proxies: proxies).description
    }

    @Test("a header of a peer that is not a trusted proxy does not count")
    func untrusted() throws { #expect(try Self.client("192.0.2.1", ["203.0.113.9"]) == "192.0.2.1") }

    @Test("the client is the last address that is not a trusted proxy's")
    func trusted() throws {
        #expect(try Self.client("10.0.0.1", ["203.0.113.9, 198.51.100.7 , 10.0.0.2"]) == "198.51.100.7")
        #expect(try Self.client("10.0.0.1", ["203.0.113.9", "198.51.100.7"]) == "198.51.100.7")
    }

    @Test("a proxy that forwards no client is the client")
    func proxyAlone() throws {
        #expect(try Self.client("10.0.0.1", []) == "10.0.0.1")
        #expect(try Self.client("10.0.0.1", ["10.0.0.2"]) == "10.0.0.1")
    }

    @Test("what a proxy forwards and is not an address is refused", arguments: ["unknown", "203.0.113.9:80", "a,"])
    func forwardedForm(text: String) { #expect(code { _ = try Self.client("10.0.0.1", [text]) } == .malformed) }

    @Test("an address before one that counts is not read")
    func notRead() throws { #expect(try Self.client("10.0.0.1", ["nonsense, 198.51.100.7"]) == "198.51.100.7") }

    // MARK: - Identifiers

    @Test("a plain request ID of the client is kept", arguments: ["a", "mine-1", "A_b.9"])
    func usable(text: String) { #expect(RequestForm.usableID(text) == text) }

    @Test(
        "any other request ID is replaced",
        arguments: [nil, "", "a b", "a/b", "é", String(repeating: "a", count: 65), "relay_sk_abcdefghijklmnop_secret"])
    func unusable(text: String?) { #expect(RequestForm.usableID(text) == nil) }

    @Test("a trace is carried on when it is valid")
    func trace() {
        let valid = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        #expect(RequestForm.traceparent(valid) == valid)
    }

    @Test(
        "any other trace is ignored",
        arguments: [
            nil, "", "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
            "00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
        ])
    func badTrace(text: String?) { #expect(RequestForm.traceparent(text) == nil) }
}
