import Cryptography
import Domain
import Foundation
import Logging
import NIOPosix
import Synchronization
import TestSupport
import Testing

@testable import Credentials

@Suite("Tokens")
struct TokenTests {
    private static func vectors() throws -> JSONValue {
        let path = packageRoot + "/Tests/CredentialsTests/Vectors/tokens.json"
        return try JSONParser.parse(Array(try #require(FileManager.default.contents(atPath: path))))
    }

    private static func verifier(
        _ file: JSONValue, _ algorithms: Set<SignatureKey.Algorithm>, keys: any KeySource
    ) throws -> TokenVerifier {
        TokenVerifier(
            rules: TokenRules(
                issuer: try #require(file["issuer"]?.string), audience: try #require(file["audience"]?.string),
                algorithms: algorithms, workspaceClaim: try #require(file["workspace_claim"]?.string),
                longestLifetime: 86_400, leeway: 60),
            keys: keys)
    }

    @Test("every published attack is refused and every honest token accepted: a few hundred of both")
    func attacks() async throws {
        let file = try Self.vectors()
        let keys = FixedKeys(try KeySet(try #require(file["jwks"]).bytes))
        let now = UInt64(clamping: try #require(file["now"]?.integer))
        var (accepted, refused) = (0, 0)
        for vector in try #require(file["vectors"]?.array) {
            let names = file["profiles"]?[vector["profile"]?.string ?? ""]?.array?.compactMap(\.string) ?? []
            let verifier = try Self.verifier(
                file, Set(names.compactMap(SignatureKey.Algorithm.init(rawValue:))), keys: keys)
            let answer = await verifier.verify(try #require(vector["token"]?.string)[...], now: now)
            let isAccepted = if case .accepted = answer { true } else { false }
            #expect(
                isAccepted == (vector["verdict"] == "accept"),
                "\(vector["id"]?.string ?? ""): \(vector["why"]?.string ?? ""), but \(answer)")
            if isAccepted { accepted += 1 } else { refused += 1 }
        }
        #expect(accepted >= 30 && refused >= 150)
    }

    /// What a test's issuer publishes and how often it was asked.
    private final class Issuer: Sendable {
        struct State {
            var keys: [JSONValue] = []
            var isAway = false
            var asked: [String] = []
            var offset = Duration.zero
        }
        let state = Mutex(State())
        let start = ContinuousClock.now

        var now: ContinuousClock.Instant { self.start + self.state.withLock { $0.offset } }

        func fetch(_ url: String, _ limit: Int) throws -> [UInt8] {
            let (keys, isAway) = self.state.withLock { state in
                state.asked.append(url)
                return (state.keys, state.isAway)
            }
            if isAway { throw TestFailure("away") }
            if url.hasSuffix("/.well-known/openid-configuration") {
                let document: JSONValue = ["issuer": "https://issuer.test/", "jwks_uri": "https://issuer.test/keys"]
                return document.bytes
            }
            let set: JSONValue = ["keys": .array(keys)]
            guard set.bytes.count <= limit else { throw TestFailure("too large") }
            return set.bytes
        }
    }

    private static func source(_ issuer: Issuer) -> PublishedKeys {
        PublishedKeys(
            configuration: .init(issuer: "https://issuer.test/"), group: .singleton,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, clock: { issuer.now },
            fetch: { try issuer.fetch($0, $1) })
    }

    private static func ids(_ source: PublishedKeys, _ id: String) async -> Bool? {
        switch await source.keys(knowing: id) {
        case .success(let set): set.knows(id)
        case .failure: nil
        }
    }

    @Test("keys are discovered, kept, and asked for again for an unknown one at most once a minute")
    func rotation() async throws {
        let all = try #require(try Self.vectors()["jwks"]?["keys"]?.array)
        let good = all.filter { $0["kty"] == "RSA" && $0["alg"] == "RS256" && $0["use"] == "sig" }
        let issuer = Issuer()
        issuer.state.withLock { $0.keys = [good[0]] }
        let source = Self.source(issuer)
        let (first, second) = (good[0]["kid"]?.string ?? "", good[1]["kid"]?.string ?? "")
        #expect(await Self.ids(source, first) == true)
        #expect(await Self.ids(source, first) == true)
        #expect(issuer.state.withLock { $0.asked.count } == 2, "the document and the keys, once")
        issuer.state.withLock { $0.keys = [good[0], good[1]] }
        #expect(await Self.ids(source, second) == true, "the first unknown key is asked for at once")
        for _ in 0..<100 { #expect(await Self.ids(source, "no-such-key") == false) }
        #expect(issuer.state.withLock { $0.asked.count } == 4, "within the minute nothing more is asked")
        issuer.state.withLock { $0.offset += .seconds(61) }
        for _ in 0..<100 { #expect(await Self.ids(source, "no-such-key") == false) }
        #expect(issuer.state.withLock { $0.asked.count } == 6)
    }

    @Test("while the issuer is away its last keys go on for a day, and no longer")
    func away() async throws {
        let all = try #require(try Self.vectors()["jwks"]?["keys"]?.array)
        let issuer = Issuer()
        let source = Self.source(issuer)
        issuer.state.withLock { $0.isAway = true }
        #expect(await Self.ids(source, "x") == nil)
        issuer.state.withLock {
            $0.isAway = false
            $0.keys = all
            $0.offset += .seconds(61)
        }
        let id = all[0]["kid"]?.string ?? ""
        #expect(await Self.ids(source, id) == true)
        issuer.state.withLock {
            $0.isAway = true
            $0.offset += .seconds(86_000)
        }
        #expect(await Self.ids(source, id) == true)
        issuer.state.withLock { $0.offset += .seconds(500) }
        #expect(await Self.ids(source, id) == nil)
    }

    @Test("a denied token, a subject's older tokens and all older ones are distinguished from the others")
    func denials() {
        let list = DenyList([
            TokenDenial(target: .token("t1"), issuedBefore: 0, until: 9),
            TokenDenial(target: .subject("eve"), issuedBefore: 100, until: 9),
            TokenDenial(target: .everything, issuedBefore: 50, until: 9),
        ])
        #expect(list.denies(id: "t1", subject: "bob", issuedAt: 200))
        #expect(!list.denies(id: "t2", subject: "bob", issuedAt: 200))
        #expect(list.denies(id: nil, subject: "eve", issuedAt: 99))
        #expect(!list.denies(id: nil, subject: "eve", issuedAt: 100))
        #expect(list.denies(id: nil, subject: "bob", issuedAt: 49))
        #expect(list.denies(id: nil, subject: "bob", issuedAt: 0), "one that does not say when counts as old")
        for denial in [
            TokenDenial(target: .token("a:b"), issuedBefore: 1, until: 2),
            TokenDenial(target: .subject("auth0|x"), issuedBefore: 1, until: 2),
            TokenDenial(target: .everything, issuedBefore: 1, until: 2),
        ] {
            #expect(TokenDenial(field: denial.field, value: denial.value) == denial)
        }
    }

    @Test("a key set that is too large, too deep or none is refused")
    func keySets() {
        for text in [
            "", "[]", "{}", #"{"keys":{}}"#, #"{"keys":[],"keys":[]}"#,
            #"{"keys":"# + String(repeating: "[", count: 99),
        ] {
            #expect(throws: CredentialsError.self) { try KeySet(Array(text.utf8)) }
        }
        #expect(throws: CredentialsError.self) { try KeySet([UInt8](repeating: 0x20, count: 300_000)) }
        let many = #"{"keys":["# + [String](repeating: "{}", count: 65).joined(separator: ",") + "]}"
        #expect(throws: CredentialsError.self) { try KeySet(Array(many.utf8)) }
    }
}
