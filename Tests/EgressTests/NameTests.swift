import Domain
import Egress
import Testing

@Suite("Names in requests")
struct NameTests {
    struct Case: CustomTestStringConvertible, Sendable {
        let id: String
        let target: String
        let reason: EgressReason?
        var testDescription: String { "\(self.id): \(self.target.debugDescription)" }

        init(_ id: String, _ target: String, _ reason: EgressReason?) {
            self.id = id
            self.target = target
            self.reason = reason
        }
    }

    private static let longLabel = String(repeating: "a", count: 64)
    private static let longName = Array(repeating: String(repeating: "a", count: 49), count: 6).joined(separator: ".")

    static let cases: [Case] = [
        Case("N1", "API.Example.TEST:443", nil), Case("N1", "api.example.test:443", nil),
        Case("N2", "api.example.test.:443", nil), Case("N2", "api.example.test..:443", .invalidHost),
        Case("N2", ".api.example.test:443", .invalidHost), Case("N2", ".:443", .invalidHost),
        Case("N4", "pkg.example.test:443", .hostNotAllowed), Case("N4", "xpkg.example.test:443", .hostNotAllowed),
        Case("N4", "a.xpkg.example.test:443", .hostNotAllowed),
        Case("N5", "a.b.pkg.example.test:443", nil), Case("N5", "a.pkg.example.test:443", nil),
        Case("N5", ".pkg.example.test:443", .invalidHost), Case("N5", "a..pkg.example.test:443", .invalidHost),
        Case("N6", "evil.pkg.example.test:443", .denied), Case("N6", "EVIL.pkg.example.test.:443", .denied),
        Case("N6", "evil.pkg.example.test:80", .denied), Case("N6", "x.evil.pkg.example.test:443", nil),
        Case("N7", "\u{0430}pi.example.test:443", .invalidHost),
        Case("N7", "api\u{3002}example.test:443", .invalidHost),
        Case("N7", "api\u{00ad}.example.test:443", .invalidHost),
        Case("N7", "a\u{200d}pi.example.test:443", .invalidHost),
        Case("N7", "xn--pi-7kc.example.test:443", .hostNotAllowed),
        Case("N9", "api.example.test%00:443", .invalidHost), Case("N9", "api%2eexample.test:443", .invalidHost),
        Case("N9", "api.example.test\\:443", .invalidHost), Case("N9", "api.example.test/:443", .invalidHost),
        Case("N9", "api.example.test?:443", .invalidHost), Case("N9", "api.example.test#:443", .invalidHost),
        Case("N9", "api.example.test\0:443", .malformedRequest), Case("N9", "api.example\t.test:443", .invalidHost),
        Case("N9", "api.example .test:443", .malformedRequest), Case("N9", "api.example.test\r:443", .malformedRequest),
        Case("N9", "api.example.test\n:443", .malformedRequest), Case("N9", "api_x.example.test:443", .invalidHost),
        Case("N9", "-api.example.test:443", .invalidHost), Case("N9", "api-.example.test:443", .invalidHost),
        Case("N10", "user:pw@api.example.test:443", .invalidHost), Case("N10", "@api.example.test:443", .invalidHost),
        Case("N10", "api.example.test@evil.test:443", .invalidHost),
        Case("N12", "\(longLabel).test:443", .invalidHost), Case("N12", "\(longName):443", .invalidHost),
        Case("N12", "a..b:443", .invalidHost), Case("N12", ":443", .invalidHost), Case("N12", "", .malformedRequest),
        Case("A2", "2130706433:443", .invalidHost), Case("A2", "0x7f000001:443", .invalidHost),
        Case("A2", "127.1:443", .invalidHost), Case("A2", "0177.0.0.1:443", .invalidHost),
        Case("A2", "127.0.0.1.:443", .invalidHost), Case("A2", "1.1:443", .invalidHost),
        Case("A2", "0x7f.0.0.1:443", .invalidHost), Case("A2", "127.0.0.0x1:443", .invalidHost),
        Case("A2", "256.1.1.1:443", .invalidHost), Case("A2", "1.2.3.4.5:443", .invalidHost),
        Case("A2", "api.example.443:443", .invalidHost), Case("A2", "127.0.0.01:443", .invalidHost),
        Case("A2", "0X7F.1:443", .invalidHost), Case("A2", "[127.0.0.1]:443", .invalidHost),
        Case("A2", "[::1%lo]:443", .invalidHost), Case("A2", "[::1:443", .invalidHost),
        Case("A2", "::1:443", .invalidHost), Case("A2", "[::1]x:443", .invalidHost),
        Case("A2", "[fe80::1%25eth0]:443", .invalidHost), Case("A2", "[]:443", .invalidHost),
        Case("A12", "api.example.test:22", .portNotAllowed), Case("A12", "api.example.test:80", .portNotAllowed),
        Case("A12", "api.example.test:0", .invalidPort), Case("A12", "api.example.test:65536", .invalidPort),
        Case("A12", "api.example.test:443x", .invalidPort), Case("A12", "api.example.test", .invalidPort),
        Case("A12", "api.example.test:", .invalidPort), Case("A12", "api.example.test:0443", .invalidPort),
        Case("A12", "api.example.test:+443", .invalidPort), Case("A12", "api.example.test:443:443", .invalidPort),
        Case("A12", "api.example.test:99999999999999999999", .invalidPort),
        Case("A12", "raw.example.test:443", .portNotAllowed), Case("X1", "api.anthropic.com:443", .hostNotAllowed),
        Case("D1", "secret.evil.test:443", .hostNotAllowed), Case("D1", "dns.google:443", .hostNotAllowed),
        Case("H", "plain.example.test:80", .doorNotAllowed), Case("ask", "ask.example.test:443", .approvalRequired),
    ]

    @Test("a CONNECT is decided by its name before anything reaches the network", arguments: Self.cases)
    func connect(_ tested: Case) throws {
        let head = Array("CONNECT \(tested.target) HTTP/1.1\r\n\r\n".utf8)
        let played = try EgressFixture().play([head])
        #expect(played.reason == tested.reason)
        guard let reason = tested.reason else {
            #expect(played.machine.status == 200 && played.dials == ["203.0.113.5:443"])
            return
        }
        #expect(played.isSilent && played.isClosed)
        #expect(played.machine.status == reason.status)
        #expect(played.answeredText.contains("x-orchestra-reason: \(reason.rawValue)\r\n"))
    }

    @Test("an absolute target is decided by the same names", arguments: Self.cases)
    func absolute(_ tested: Case) throws {
        guard let reason = tested.reason, reason == .invalidHost, !tested.target.contains(where: "/?#".contains) else {
            return
        }
        let head = Array("GET http://\(tested.target)/ HTTP/1.1\r\nHost: \(tested.target)\r\n\r\n".utf8)
        let played = try EgressFixture().play([head])
        #expect(played.reason == reason)
        #expect(played.isSilent)
    }

    @Test("a refusal is a JSON object with code, host, rule and advice")
    func body() throws {
        let played = try EgressFixture().play([EgressFixture.connect("evil.pkg.example.test:443")])
        let body = try #require(played.answeredText.split(separator: "\r\n\r\n").last)
        let error = try #require(try JSONParser.parse(Array(body.utf8))["error"])
        #expect(error["code"] == "denied" && error["host"] == "evil.pkg.example.test" && error["rule"] == "evil")
        #expect(error["advice"]?.string?.isEmpty == false && error["retry"] == false && error["port"] == 443)
        #expect(played.answeredText.contains("content-length: \(body.utf8.count)\r\n"))
    }
}
