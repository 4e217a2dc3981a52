import Cryptography
import Domain
import Testing

@testable import Credentials

@Suite("The claims of a token")
struct TokenRulesTests {
    private static let now: UInt64 = 1_800_000_000

    private func claims(_ changes: [String: JSONValue?] = [:]) -> JSONValue {
        var members: [String: JSONValue?] = [
            "iss": "https://issuer.test/", "aud": "orchestra", "sub": "auth0|1", "workspace": "acme",
            "iat": .integer(Int64(Self.now) - 10), "exp": .integer(Int64(Self.now) + 600),
        ]
        members.merge(changes) { _, new in new }
        return .object(members.compactMap { name, value in value.map { JSONMember(name, $0) } })
    }

    private func rule(_ changes: [String: JSONValue?]) -> String? {
        let rules = TokenRules(
            issuer: "https://issuer.test/", audience: "orchestra", workspaceClaim: "workspace", rolesClaim: "roles")
        do throws(TokenRefusal) {
            _ = try rules.principal(of: self.claims(changes), now: Self.now)
            return nil
        } catch { return error.rule }
    }

    @Test("claims that follow every rule give the principal of the workspace")
    func accepted() throws {
        let rules = TokenRules(
            issuer: "https://issuer.test/", audience: "orchestra", workspaceClaim: "workspace", rolesClaim: "roles")
        let principal = try rules.principal(
            of: self.claims(["roles": ["viewer"], "jti": "t1", "scope": "audit:read other"]), now: Self.now)
        #expect(principal.workspace.name == "acme" && principal.actor == "user:auth0|1")
        #expect(principal.roles.map(\.name) == ["viewer"] && principal.scopes.map(\.rawValue) == ["audit:read"])
        #expect(principal.credential == .token(id: "t1", issuedAt: Self.now - 10))
    }

    @Test("the issuer is compared byte by byte", arguments: ["https://issuer.test", "HTTPS://issuer.test/", ""])
    func issuer(text: String) { #expect(self.rule(["iss": .string(text)]) == "issuer") }

    @Test("a token without an issuer is refused")
    func noIssuer() { #expect(self.rule(["iss": .some(nil)]) == "issuer") }

    @Test("the audience is this one, alone or in a list")
    func audience() {
        #expect(self.rule(["aud": ["other", "orchestra"]]) == nil)
        for wrong: JSONValue in ["other", ["other"], [], .integer(1)] { #expect(self.rule(["aud": wrong]) != nil) }
    }

    @Test("a token is refused from its expiry on, with a minute for clocks that differ")
    func expiry() {
        #expect(self.rule(["exp": .integer(Int64(Self.now) - 5), "iat": .integer(Int64(Self.now) - 60)]) == nil)
        #expect(self.rule(["exp": .integer(Int64(Self.now) - 60), "iat": .integer(Int64(Self.now) - 90)]) == "exp")
    }

    @Test("an expiry that is not a time is refused", arguments: [JSONValue.string("9999999999"), .integer(-1), .null])
    func badExpiry(value: JSONValue) { #expect(self.rule(["exp": value]) == "exp") }

    @Test("a token is refused before its start")
    func notBefore() {
        #expect(self.rule(["nbf": .integer(Int64(Self.now) + 60)]) == nil)
        #expect(self.rule(["nbf": .integer(Int64(Self.now) + 61)]) == "nbf")
    }

    @Test("a token of the future is refused")
    func issuedAt() {
        #expect(self.rule(["iat": .integer(Int64(Self.now) + 61)]) == "iat")
        #expect(self.rule(["iat": .some(nil)]) == "iat")
    }

    @Test("a token that is valid for longer than the rules allow is refused")
    func lifetime() {
        #expect(self.rule(["exp": .integer(Int64(Self.now) + 3591)]) == "lifetime")
        #expect(self.rule(["exp": .integer(Int64(Self.now) + 3590)]) == nil)
    }

    @Test("the subject is printable text without spaces around it", arguments: ["", " a", "a ", "a\nb"])
    func subject(text: String) { #expect(self.rule(["sub": .string(text)]) == "subject") }

    @Test("a token without a workspace, or with an impossible one, is refused", arguments: ["", "../x", "A b"])
    func workspace(text: String) { #expect(self.rule(["workspace": .string(text)]) == "workspace") }

    @Test("other kinds of tokens of the issuer are refused", arguments: ["nonce", "at_hash", "events", "cnf"])
    func kinds(claim: String) { #expect(self.rule([claim: "x"]) == "kind") }

    @Test("roles are a list of names; a role of another application is ignored")
    func roles() {
        #expect(self.rule(["roles": "admin"]) == "roles")
        #expect(self.rule(["roles": [.integer(1)]]) == "roles")
        #expect(self.rule(["roles": ["Some Other Role!"]]) == nil)
    }

    @Test("malformed scopes and permissions are refused")
    func scopes() {
        #expect(self.rule(["scope": ["a"]]) == "scope")
        #expect(self.rule(["permissions": "a"]) == "permissions")
        #expect(self.rule(["permissions": [.integer(1)]]) == "permissions")
    }
}

@Suite("The signed token")
struct SignedTokenTests {
    /// `{"alg":"EdDSA","kid":"k"}` and `{}` in base 64.
    private static let header = "eyJhbGciOiJFZERTQSIsImtpZCI6ImsifQ"
    private static let payload = "e30"

    private func rule(_ text: String) -> String? {
        do throws(TokenRefusal) {
            _ = try SignedToken(text[...])
            return nil
        } catch { return error.rule }
    }

    @Test("a token in compact form gives its algorithm and the id of its key")
    func reads() throws {
        let token = try SignedToken("\(Self.header).\(Self.payload).AAAA"[...])
        #expect(token.algorithm == .edDSA && token.keyID == "k")
    }

    @Test(
        "a token has exactly three parts in base 64", arguments: ["", "a.b", "a.b.c.d", "!.e30.AAAA", "e30=.e30.AAAA"])
    func form(text: String) { #expect(self.rule(text) == "form") }

    @Test("a token without a signature is refused")
    func unsigned() { #expect(self.rule("\(Self.header).\(Self.payload).") == "signature") }

    @Test("a token of more than 16 KiB is refused before it is read")
    func size() { #expect(self.rule(String(repeating: "a", count: 16 * 1024 + 1)) == "size") }

    @Test("the algorithm none is refused")
    func none() { #expect(self.rule("eyJhbGciOiJub25lIiwia2lkIjoiayJ9.e30.AAAA") == "alg") }

    @Test("a header that is not a JSON object is refused")
    func header() { #expect(self.rule("W10.e30.AAAA") == "json") }

    @Test(
        "base 64 is read strictly: one text for each value",
        arguments: [("", []), ("AA", [0]), ("_-8", [0xff, 0xef])] as [(String, [UInt8])])
    func base64(text: String, bytes: [UInt8]) { #expect(Base64URL.bytes(of: Array(text.utf8)) == bytes) }

    @Test(
        "padding, other alphabets, impossible lengths and leftover bits are refused",
        arguments: ["A", "AA==", "+/", "AB", "A A"])
    func badBase64(text: String) { #expect(Base64URL.bytes(of: Array(text.utf8)) == nil) }
}

@Suite("The key set")
struct KeySetTests {
    private static let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"

    private func set(_ members: String) throws -> KeySet { try KeySet(Array(#"{"keys":[\#(members)]}"#.utf8)) }

    private func key(_ more: String = "", id: String = "k") -> String {
        #"{"kty":"OKP","crv":"Ed25519","kid":"\#(id)","x":"\#(Self.x)"\#(more)}"#
    }

    @Test("a key is found by its id and for its algorithm only")
    func found() throws {
        let set = try self.set(self.key())
        #expect(set.key("k", for: .edDSA) != nil && set.knows("k"))
        #expect(set.key("k", for: .rs256) == nil && set.key("K", for: .edDSA) == nil)
    }

    @Test("two keys of one id are ambiguous, so none is used")
    func ambiguous() throws {
        let set = try self.set(self.key() + "," + self.key())
        #expect(set.key("k", for: .edDSA) == nil && set.count == 2)
    }

    @Test(
        "keys for another use, with a private part, of another algorithm or kind are skipped",
        arguments: [
            #","use":"enc""#, #","d":"AAAA""#, #","alg":"RS256""#, #","key_ops":["sign"]"#, #","key_ops":"verify""#,
        ])
    func skipped(member: String) throws { #expect(try self.set(self.key(member)).count == 0) }

    @Test("a key without an id cannot be named, so it is skipped")
    func noID() throws { #expect(try self.set(self.key(id: "")).count == 0) }

    @Test("keys of unknown kinds are skipped", arguments: [#"{"kty":"oct","kid":"k","k":"AA"}"#, #"{"kid":"k"}"#, "1"])
    func unknown(member: String) throws { #expect(try self.set(member).count == 0) }

    @Test("an error keeps what was wrong with the document")
    func malformed() {
        let error = #expect(throws: CredentialsError.self) { try KeySet(Array("{".utf8)) }
        #expect(error?.code == .malformedDocument)
        #expect(error?.underlying is DomainError)
    }
}

@Suite("The deny list")
struct DenyListTests {
    @Test("of several denials of a subject the latest time counts")
    func latest() {
        let list = DenyList([
            TokenDenial(target: .subject("eve"), issuedBefore: 100, until: 9),
            TokenDenial(target: .subject("eve"), issuedBefore: 50, until: 9),
        ])
        #expect(list.denies(id: nil, subject: "eve", issuedAt: 99))
        #expect(!list.denies(id: nil, subject: "eve", issuedAt: 100))
    }

    @Test("a denial that is over concerns no token")
    func over() {
        let list = DenyList([TokenDenial(target: .token("t"), issuedBefore: 0, until: 9)], now: 9)
        #expect(!list.denies(id: "t", subject: "eve", issuedAt: 0))
    }

    @Test("a denial of everything concerns every subject's earlier tokens")
    func everything() {
        let list = DenyList([TokenDenial(target: .everything, issuedBefore: 10, until: 9)])
        #expect(list.denies(id: nil, subject: "a", issuedAt: 9) && !list.denies(id: nil, subject: "a", issuedAt: 10))
    }

    @Test("a stored denial that is malformed is not read", arguments: [("jti:a", "1"), ("x:a", "1:2"), ("all", "a:b")])
    func malformed(field: String, value: String) { #expect(TokenDenial(field: field, value: value) == nil) }
}
