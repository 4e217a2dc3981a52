import Domain
import Foundation
import TestSupport
import Testing

/// An OpenID Connect issuer as far as a server needs one: its document and its keys over TLS, by OpenSSL's own server.
private struct Issuer: Sendable {
    let directory: String
    let port: Int
    let process: ManagedProcess

    var url: String { "https://127.0.0.1:\(self.port)" }

    static func start(in directory: String) async throws -> Issuer {
        let issuer = directory + "/issuer"
        try FileManager.default.createDirectory(
            atPath: issuer + "/.well-known", withIntermediateDirectories: true)
        let port = Int.random(in: 20_000..<30_000)
        let process = ManagedProcess(
            "/bin/bash",
            [
                "-c",
                "cd \(issuer) && exec openssl s_server -accept 127.0.0.1:\(port) -cert tls.pem -key tls.key -WWW -quiet",
            ], log: directory + "/issuer.log")
        let made = Issuer(directory: issuer, port: port, process: process)
        try await made.shell(
            "openssl req -x509 -newkey rsa:2048 -nodes -keyout tls.key -out tls.pem -subj /CN=issuer -days 2 "
                + "-addext subjectAltName=IP:127.0.0.1")
        let document: JSONValue = ["issuer": .string(made.url), "jwks_uri": .string(made.url + "/keys.json")]
        try Data(document.bytes).write(to: URL(filePath: issuer + "/.well-known/openid-configuration"))
        try await made.makeKey("k1")
        try await made.publish(["k1"])
        try await process.start()
        return made
    }

    func makeKey(_ name: String) async throws { try await self.shell("openssl genrsa -out \(name).key 2048") }

    func publish(_ names: [String]) async throws {
        var keys: [JSONValue] = []
        for name in names {
            let text = try await self.shell("openssl rsa -in \(name).key -noout -modulus")
            let digits =
                text.split(separator: "=").last.map { $0.trimmingCharacters(in: .whitespacesAndNewlines) } ?? ""
            let modulus = try #require(Hexadecimal.bytes(of: digits))
            keys.append([
                "kty": "RSA", "kid": .string(name), "use": "sig", "alg": "RS256", "e": "AQAB",
                "n": .string(Self.urlsafe(modulus)),
            ])
        }
        let set: JSONValue = ["keys": .array(keys)]
        try Data(set.bytes).write(to: URL(filePath: self.directory + "/keys.json"))
    }

    func token(_ key: String = "k1", _ change: [String: JSONValue] = [:]) async throws -> String {
        let now = Int64(Date().timeIntervalSince1970)
        var claims: [String: JSONValue] = [
            "iss": .string(self.url), "aud": "orchestra", "sub": "auth0|alice", "iat": .integer(now),
            "exp": .integer(now + 600), "workspace_id": "acme", "permissions": ["actions:preview"],
        ]
        claims.merge(change) { $1 }
        let head: JSONValue = ["alg": "RS256", "typ": "at+jwt", "kid": .string(key)]
        let payload = JSONValue.object(claims.map { JSONMember($0.key, $0.value) })
        let signed = Self.urlsafe(head.bytes) + "." + Self.urlsafe(payload.bytes)
        let file = self.directory + "/" + UUID().uuidString
        try Data(signed.utf8).write(to: URL(filePath: file))
        try await self.shell("openssl dgst -sha256 -sign \(key).key -out \(file).sig \(file)")
        let signature = try #require(FileManager.default.contents(atPath: file + ".sig"))
        return signed + "." + Self.urlsafe(Array(signature))
    }

    @discardableResult
    private func shell(_ line: String) async throws -> String {
        let result = try await runProgram("/bin/bash", ["-c", "cd \(self.directory) && \(line)"])
        guard result.code == 0 else { throw TestFailure("\(line): \(result.errors)") }
        return result.output
    }

    private static func urlsafe(_ bytes: [UInt8]) -> String {
        Data(bytes).base64EncodedString().replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }
}

extension APISuites {
    @Suite(
        "Tokens over the API", .serialized,
        .enabled(
            if: !isRoot && isInstalled("curl") && isInstalled("openssl"), "needs curl, openssl and an ordinary user"))
    struct TokenAPITests {
        @Test(
            "a token of the issuer opens its workspace for what it permits, until it is revoked; a new key is taken up")
        func tokens() async throws {
            try await Installation.with { installation in
                let issuer = try await Issuer.start(in: installation.directory)
                let node = try await APIBench.start(
                    "n1", installation,
                    [
                        "ORCHESTRA_AUTH_ISSUER": issuer.url, "ORCHESTRA_AUTH_AUDIENCE": "orchestra",
                        "ORCHESTRA_AUTH_CA_FILE": issuer.directory + "/tls.pem",
                        "ORCHESTRA_API_PUBLIC_URL": "https://api.example",
                    ])
                let bench = APIBench(
                    installation: installation, node: node, port: try await APIBench.port(of: node), keys: [:])
                let now = Int64(Date().timeIntervalSince1970)
                let token = try await issuer.token()
                let good = try await bench.ask("GET", "/ai/jobs", as: token)
                #expect(good.status == 200, "\(good.body)")
                // Its permissions let it look and not act.
                #expect(try await bench.ask("POST", "/ai/execute", as: token, json: "{}").status == 403)
                try await issuer.makeKey("stranger")
                for (name, change) in [
                    ("k1", ["aud": "another"]), ("k1", ["iss": "https://127.0.0.1"]), ("stranger", [:]),
                    ("k1", ["exp": .integer(now - 100), "iat": .integer(now - 700)]),
                    ("k1", ["exp": .integer(now + 90_000)]), ("k1", ["workspace_id": ["acme", "other"]]),
                ] as [(String, [String: JSONValue])] {
                    let bad = try await bench.ask("GET", "/ai/jobs", as: try await issuer.token(name, change))
                    #expect(bad.status == 401, "\(name) \(change)")
                    #expect(bad.headers["www-authenticate"]?.contains("invalid_token") == true)
                    #expect(
                        bad.headers["www-authenticate"]?.contains(
                            #"resource_metadata="https://api.example/.well-known/oauth-protected-resource""#) == true)
                }
                let resource = try await bench.ask("GET", "/.well-known/oauth-protected-resource", as: nil).json()
                #expect(resource["authorization_servers"] == [.string(issuer.url)])
                #expect(try await bench.rows().first?["actor"] == "user:auth0|alice")
                // All that were issued so far, of one subject.
                let other = try await issuer.token("k1", ["sub": "auth0|bob"])
                #expect(try await installation.command(["tokens", "revoke", "--subject", "auth0|alice"]).code == 0)
                try await eventually(within: .seconds(30), "it is refused") {
                    try await bench.ask("GET", "/ai/jobs", as: token).status == 401
                }
                #expect(try await bench.ask("GET", "/ai/jobs", as: other).status == 200)
                await node.signal(SIGTERM)
                #expect(try await node.wait().code == 0)
                await issuer.process.kill9()
            }
        }

        @Test("the first token under a new key is taken, though the keys were read a moment ago")
        func rotation() async throws {
            try await Installation.with { installation in
                let issuer = try await Issuer.start(in: installation.directory)
                let node = try await APIBench.start(
                    "n1", installation,
                    [
                        "ORCHESTRA_AUTH_ISSUER": issuer.url, "ORCHESTRA_AUTH_AUDIENCE": "orchestra",
                        "ORCHESTRA_AUTH_CA_FILE": issuer.directory + "/tls.pem",
                    ])
                let bench = APIBench(
                    installation: installation, node: node, port: try await APIBench.port(of: node), keys: [:])
                let old = try await issuer.token()
                #expect(try await bench.ask("GET", "/ai/jobs", as: old).status == 200)
                try await issuer.makeKey("k2")
                try await issuer.publish(["k1", "k2"])
                #expect(try await bench.ask("GET", "/ai/jobs", as: try await issuer.token("k2")).status == 200)
                #expect(try await bench.ask("GET", "/ai/jobs", as: old).status == 200)
                // The issuer goes; what was read goes on.
                await issuer.process.kill9()
                #expect(try await bench.ask("GET", "/ai/jobs", as: old).status == 200)
                await node.signal(SIGTERM)
                #expect(try await node.wait().code == 0)
            }
        }
    }
}
