import Domain
import Egress
import Testing

@Suite("Egress rules")
struct RuleTests {
    private func message(_ entry: JSONValue) -> String? {
        do {
            _ = try EgressRules(parsing: [entry], file: "web.json")
            return nil
        } catch {
            return error.message
        }
    }

    private func entry(_ fields: [(String, JSONValue)]) -> JSONValue {
        let base: [(String, JSONValue)] = [("id", "e"), ("host", "api.example.test")]
        let kept = base.filter { member in !fields.contains { $0.0 == member.0 } }
        return .object((kept + fields).map { JSONMember($0.0, $0.1) })
    }

    @Test(
        "N13: an invalid host is refused with file, entry and field",
        arguments: [
            "*", "*.com", "*.co.uk", "*.github.io", "a.*.b", "http://x", "x:0", "x:70000", "*.1.2.3.4", "*.203.0.113.9",
            "",
            ".", "*.", "*..test", "**.example.test", "*a.example.test", "a*.example.test", "*.*.example.test",
            "API.example.test",
            "api.example.test.", "\u{0430}pi.example.test", "api example.test", "api.example.test/path",
            "u@api.example.test",
            "127.1", "0x7f000001", "-a.test", "a_b.test", "*.uk", "*.com.au", "*.workers.dev", "*.example", "[::1",
            "[1.2.3.4]",
            "*.[::1]", "api.example.test:443", "%61pi.example.test",
        ])
    func invalidHost(_ host: String) throws {
        let message = try #require(self.message(self.entry([("host", .string(host))])))
        #expect(message.contains("web.json, entry 1, entry 'e' is refused: 'host' is '"), "\(message)")
    }

    @Test(
        "a valid host is accepted",
        arguments: [
            "api.example.test", "*.example.test", "*.a.b.example.test", "203.0.113.9", "2001:db8::1", "[2001:db8::1]",
            "redis", "xn--pi-7kc.example.test", "*.user.github.io", "co.uk", "127.0.0.1",
        ])
    func validHost(_ host: String) { #expect(self.message(self.entry([("host", .string(host))])) == nil) }

    static let invalidFields: [(String, JSONValue, String)] = [
        ("port", [443], "'port' is unknown here"), ("ports", 443, "must be a list"), ("ports", [], "'ports' is empty"),
        ("ports", [0], "'ports' has 0"), ("ports", [70000], "'ports' has 70000"), ("ports", ["443"], "'ports' has"),
        ("ports", [-1], "'ports' has -1"), ("door", "socks", "expected one of tunnel, http"),
        ("door", 1, "must be a string"),
        ("methods", ["GET"], "CONNECT alone"), ("methods", [], "is empty"),
        ("paths", ["/a"], "not possible for a tunnel"),
        ("deny", "yes", "must be true or false"), ("credential", "key", "not possible here"),
        ("limits", 5, "must be an object"), ("limits", ["bytes": 5], "'bytes' is unknown here"),
        ("limits", ["connections": 0], "must be a positive integer"), ("allow_private", "10.0.0.0/8", "must be a list"),
        ("allow_private", ["10.0.0.1/8"], "'allow_private' has"), ("allow_private", ["ten"], "'allow_private' has"),
        ("approval", 1, "must be true or false"), ("protocol", "udp", "expected one of tls, tcp, http"),
        ("protocol", "http", "is tls or tcp"), ("allow_no_sni", "x", "must be true or false"), ("id", "", "'id' is ''"),
        ("id", "a b", "'id' is 'a b'"), ("id", 5, "'id' must be a string"), ("id", nil, "'id' is missing"),
        ("host", nil, "'host' is missing"), ("host", 5, "'host' must be a string"),
    ]

    @Test("a malformed field is refused with its name and what was expected", arguments: Self.invalidFields)
    func invalidField(_ name: String, _ value: JSONValue, _ expected: String) throws {
        let message = try #require(self.message(self.entry([(name, value)])))
        #expect(message.contains(expected) && message.contains("web.json"), "\(message)")
    }

    @Test(
        "a field that has no meaning for plain HTTP, or a malformed one, is refused",
        arguments: [
            ("methods", ["get"]), ("methods", ["TRACE"]), ("methods", ["CONNECT"]), ("protocol", "tls"),
            ("protocol", "tcp"),
            ("paths", ["a"]), ("paths", ["/../a"]), ("paths", ["/a?b"]), ("paths", ["//a"]), ("paths", ["/%61"]),
            ("paths", []),
            ("allow_no_sni", true), ("credential", "Not A Name"),
        ] as [(String, JSONValue)])
    func invalidForHTTP(_ name: String, _ value: JSONValue) {
        #expect(self.message(self.entry([("door", "http"), (name, value)])) != nil)
    }

    @Test("null counts as absent, and an entry that is not an object is refused")
    func nullAndOthers() {
        #expect(self.message(self.entry([("ports", nil), ("methods", nil), ("limits", nil), ("deny", nil)])) == nil)
        #expect(self.message("x")?.contains("expected a JSON object") == true)
    }

    @Test("an ID that occurs twice is refused")
    func duplicate() {
        #expect(throws: EgressError.self) { try EgressRules(parsing: [self.entry([]), self.entry([])]) }
    }

    @Test("a further public suffix can be injected")
    func injectedSuffix() throws {
        let entry = self.entry([("host", "*.hosting.test")])
        #expect(throws: EgressError.self) {
            try EgressRules(parsing: [entry], suffixes: PublicSuffixes(additional: ["hosting.test"]))
        }
        _ = try EgressRules(parsing: [entry])
    }

    @Test("defaults: a tunnel to 443 with TLS, plain HTTP to 80, and a denial of every port and kind")
    func defaults() throws {
        let tunnel = try EgressEntry(self.entry([]), place: "x")
        #expect(tunnel.ports == [443] && tunnel.listener == .tunnel && tunnel.protocolKind == .tls)
        let http = try EgressEntry(self.entry([("door", "http")]), place: "x")
        #expect(http.ports == [80] && http.protocolKind == .http)
        let denial = try EgressEntry(self.entry([("deny", true)]), place: "x")
        #expect(denial.ports == nil && denial.listener == nil)
    }

    @Test("limits, credential and note are read")
    func otherFields() throws {
        let entry = try EgressEntry(
            self.entry([
                ("door", "model"), ("provider", "anthropic"), ("credential", "anthropic"), ("note", "for the agent"),
                ("limits", ["connections": 4, "requests_per_minute": 60, "bytes_per_day": 1000, "idle_seconds": 30]),
            ]), place: "x")
        let limits = EgressLimits(connections: 4, requestsPerMinute: 60, bytesPerDay: 1000, idle: .seconds(30))
        #expect(entry.credential?.name == "anthropic" && entry.limits == limits)
    }

    @Test("H15 and others: risky entries have a warning")
    func warnings() throws {
        func warnings(_ fields: [(String, JSONValue)]) throws -> Int {
            try EgressEntry(self.entry(fields), place: "x").warnings.count
        }
        #expect(try warnings([]) == 0)
        #expect(try warnings([("ports", [3128])]) == 1)
        #expect(try warnings([("host", "*.example.test"), ("allow_private", ["10.0.0.0/8"])]) == 1)
        #expect(try warnings([("allow_private", ["127.0.0.0/8"])]) == 1)
        #expect(try warnings([("host", "*.example.test"), ("protocol", "tcp")]) == 1)
    }

    private func target(_ text: String, _ port: UInt16 = 80) throws -> EgressTarget {
        EgressTarget(host: try EgressHost(Array(text.utf8)[...]), port: port)
    }

    @Test("the most exact host decides, and a denial always wins")
    func exactness() throws {
        let rules = try EgressRules(parsing: [
            ["id": "wide", "host": "*.example.test", "door": "http"],
            ["id": "near", "host": "*.a.example.test", "door": "http", "methods": ["GET", "POST"]],
            ["id": "exact", "host": "x.a.example.test", "door": "http", "methods": ["GET"]],
            ["id": "no", "host": "*.b.example.test", "deny": true],
            ["id": "yes", "host": "x.b.example.test", "door": "http"],
            ["id": "nopath", "host": "y.example.test", "deny": true, "paths": ["/admin/**"], "methods": ["GET"]],
        ])
        func decision(_ host: String, _ method: EgressMethod, _ path: String = "/") throws -> String {
            let path = try RequestPath(Array(path.utf8)[...])
            switch rules.decide(try self.target(host), listener: .http, method: method, path: path) {
            case .allow(let entry): return entry.id.text
            case .refuse(let refusal): return refusal.reason.rawValue
            }
        }
        #expect(try decision("y.c.example.test", .put) == "wide")
        #expect(try decision("y.a.example.test", .post) == "near")
        #expect(try decision("y.a.example.test", .put) == "method_not_allowed")
        #expect(try decision("x.a.example.test", .get) == "exact")
        #expect(try decision("x.a.example.test", .post) == "method_not_allowed")
        #expect(try decision("x.b.example.test", .get) == "denied")
        #expect(try decision("y.example.test", .get, "/admin/a/b") == "denied")
        #expect(try decision("y.example.test", .post, "/admin/a/b") == "wide")
        #expect(try decision("y.example.test", .get, "/other") == "wide")
        #expect(try decision("example.test", .get) == "host_not_allowed")
    }

    @Test("an entry that needs approval allows nothing before it is approved")
    func approval() throws {
        let id = try #require(EgressEntryID("e"))
        let entry = self.entry([("approval", true)])
        let target = try self.target("api.example.test", 443)
        let asking = try EgressRules(parsing: [entry]).decide(target, listener: .tunnel, method: .connect)
        guard case .refuse(let refusal) = asking else { throw EgressRefusal(.denied, "expected a refusal") }
        #expect(refusal.reason == .approvalRequired)
        let approved = try EgressRules(parsing: [entry], approved: [id])
        guard case .allow = approved.decide(target, listener: .tunnel, method: .connect) else {
            throw EgressRefusal(.denied, "expected approval")
        }
    }

    @Test(
        "* matches within a segment and ** across segments",
        arguments: [
            ("/v1/*", "/v1/a", true), ("/v1/*", "/v1/", true), ("/v1/*", "/v1/a/b", false), ("/v1/**", "/v1/a/b", true),
            ("/v1/**", "/v1", false), ("/**", "/", true), ("/*/info/refs", "/x/info/refs", true),
            ("/*/info/refs", "/x/y/info/refs", false), ("/**/refs", "/a/b/refs", true), ("/a", "/a", true),
            ("/a", "/A", false),
            ("/a", "/a/", false), ("/a*c", "/abbc", true), ("/a*c", "/abbd", false), ("/a**c", "/a/b/c", true),
            ("/v1/messages", "/v1/messages;x", false), ("/*a*a*a*b", "/aaaaaaaaaaaaaaaaaaaaaaaaaaaa", false),
        ])
    func globs(_ pattern: String, _ path: String, _ matches: Bool) throws {
        let path = try RequestPath(Array(path.utf8)[...])
        #expect(try #require(PathPattern(pattern)).matches(path) == matches)
    }

    @Test("every reason has a status and advice, and none is 429")
    func reasons() {
        for reason in EgressReason.allCases {
            #expect((400..<600).contains(reason.status) && reason.status != 429 && !reason.advice.isEmpty)
            #expect(reason.rawValue == reason.rawValue.lowercased())
        }
    }
}
