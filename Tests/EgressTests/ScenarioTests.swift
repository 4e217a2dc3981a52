import ConformanceSupport
import Domain
import Egress
import Testing

@Suite("The conformance driver's connections")
struct ScenarioTests {
    private func play(_ cases: [JSONValue], resolver: JSONValue = ["api.example.test": ["203.0.113.5"]]) throws
        -> [JSONValue]
    {
        let input: JSONValue = [
            "entries": [
                ["id": "api", "host": "api.example.test", "ports": [443], "door": "tunnel", "deny": false],
                [
                    "id": "in", "host": "in.example.test", "door": "http", "allow_private": ["10.0.0.0/8"],
                    "methods": ["GET"],
                ],
            ],
            "own_addresses": ["192.0.2.7"], "resolver": resolver, "cases": .array(cases),
        ]
        return try EgressScenario(input).play()
    }

    private func line(_ segments: [[UInt8]], resolver: JSONValue = ["api.example.test": ["203.0.113.5"]]) throws
        -> JSONValue
    {
        let hex = segments.map { JSONValue.string(Hexadecimal.text(of: $0)) }
        return try #require(try self.play([["id": "x", "bytes_hex": .array(hex)]], resolver: resolver).first)
    }

    private static let connect = EgressFixture.connect("api.example.test:443")

    @Test("an allowed tunnel shows the entry, the question, the address and the bytes")
    func allowed() throws {
        let hello = HelloBytes.hello("api.example.test")
        let line = try self.line([Self.connect, hello])
        #expect(
            line == [
                "id": "x", "verdict": "allow", "status": 200, "reason": nil, "entry": "api",
                "resolved": ["api.example.test"], "dialled": "203.0.113.5:443",
                "forwarded_hex": .string(Hexadecimal.text(of: hello)),
            ])
    }

    @Test("a CONNECT alone is allowed: the caller has closed a tunnel that it may use")
    func unused() throws {
        let line = try self.line([Self.connect])
        #expect(line["verdict"] == "allow" && line["status"] == 200 && line["forwarded_hex"] == "")
    }

    @Test("a refusal after the 200 keeps the 200 and forwards nothing")
    func mismatch() throws {
        let line = try self.line([Self.connect, HelloBytes.hello("other.test")])
        #expect(line["verdict"] == "refuse" && line["status"] == 200 && line["reason"] == "sni_mismatch")
        #expect(line["dialled"] == "203.0.113.5:443" && line["forwarded_hex"] == "" && line["entry"] == "api")
    }

    @Test("a refusal by the rules asks and dials nothing")
    func refused() throws {
        let line = try self.line([EgressFixture.connect("other.test:443")])
        #expect(
            line == [
                "id": "x", "verdict": "refuse", "status": 403, "reason": "host_not_allowed", "entry": nil,
                "resolved": [],
                "dialled": nil, "forwarded_hex": "",
            ])
    }

    @Test("a name that the resolver does not have, and an address of this host, are refused after the question")
    func resolution() throws {
        let unknown = try self.line([Self.connect], resolver: [:])
        #expect(unknown["status"] == 502 && unknown["resolved"] == ["api.example.test"] && unknown["dialled"] == .null)
        let own = try self.line([Self.connect], resolver: ["API.example.test.": ["192.0.2.7"]])
        #expect(own["reason"] == "address_not_allowed" && own["status"] == 403)
    }

    @Test("plain HTTP has no status of the listener, and allow_private counts")
    func plain() throws {
        let head = Array("GET http://in.example.test/a HTTP/1.1\r\nHost: in.example.test\r\n\r\n".utf8)
        let line = try self.line(
            [Array(head.prefix(9)), Array(head.dropFirst(9))], resolver: ["in.example.test": ["10.0.0.9"]])
        #expect(line["verdict"] == "allow" && line["status"] == .null && line["dialled"] == "10.0.0.9:80")
    }

    @Test("no bytes at all are an incomplete request; lines keep the order of the cases")
    func order() throws {
        let lines = try self.play([["id": 1, "bytes_hex": []], ["id": "b", "bytes_hex": ["47"]]])
        #expect(lines.map { $0["id"] } == [1, "b"] && lines.allSatisfy { $0["reason"] == "incomplete_request" })
        #expect(lines.map { $0["status"] } == [.null, 400])
    }

    @Test("entries that do not load, and a malformed input, throw")
    func invalid() throws {
        #expect(throws: EgressError.self) { try EgressScenario(["entries": [["id": "a", "host": "*"]], "cases": []]) }
        for input: JSONValue in [
            [:], ["entries": [], "cases": [["id": 1]]], ["entries": [], "cases": [["id": 1, "bytes_hex": ["4"]]]],
            ["entries": [], "cases": [], "own_addresses": ["x"]],
            ["entries": [], "cases": [], "resolver": ["a": ["x"]]],
        ] {
            #expect(throws: DomainError.self) { try EgressScenario(input) }
        }
    }
}
