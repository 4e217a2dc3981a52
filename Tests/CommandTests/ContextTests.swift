import API
import Foundation
import Jobs
import Policy
import TestSupport
import Testing

@testable import orchestra

@Suite("Context")
struct ContextTests {
    private func context(_ environment: [String: String] = [:]) throws -> Context {
        Context(
            settings: try Settings(flags: [:], environment: environment, file: nil),
            directories: UserDirectories(environment: [:], accountHome: "/home/u"))
    }

    @Test("the state directory is below the home directory unless it is set")
    func state() throws {
        #expect(try self.context().stateDirectory == "/home/u/.local/state/orchestra")
        #expect(try self.context(["ORCHESTRA_STATE_DIRECTORY": "/s"]).stateDirectory == "/s")
    }

    @Test("a relative state directory is below the current directory")
    func relativeState() throws {
        let path = try self.context(["ORCHESTRA_STATE_DIRECTORY": "s"]).stateDirectory
        #expect(path == FileManager.default.currentDirectoryPath + "/s")
    }

    @Test("sockets are in the state directory when its path is short")
    func sockets() throws {
        let context = try self.context(["ORCHESTRA_STATE_DIRECTORY": "/s"])
        #expect(try context.statusSocket() == "/s/status.sock")
        #expect(try context.agentsRoot() == "/s/agents")
    }

    @Test("a missing master key is an error that says how to make one")
    func missingMaster() throws {
        let context = try self.context()
        let error = #expect(throws: CommandError.self) { try context.masterKey() }
        #expect(error?.status == .configuration && error?.message.contains("openssl rand") == true)
    }

    @Test("a malformed master key is refused", arguments: ["00", "zz", String(repeating: "5a", count: 33)])
    func malformedMaster(text: String) throws {
        let context = try self.context(["ORCHESTRA_MASTER_KEY": text])
        let error = #expect(throws: CommandError.self) { try context.masterKey() }
        #expect(error?.message.contains("malformed") == true)
    }

    @Test("a node name that is not an identifier is refused")
    func nodeName() throws {
        let context = try self.context(["ORCHESTRA_NODE_NAME": "a b"])
        let error = #expect(throws: CommandError.self) { try context.node() }
        #expect(error?.message.contains("node.name") == true)
    }

    @Test("without an allow-list nothing is allowed", arguments: [[:], ["ALLOW_ACTIONS_DEFAULT": ""]])
    func denies(environment: [String: String]) throws {
        let context = try self.context(
            environment.merging(["ORCHESTRA_POLICIES_DIRECTORY": packageRoot + "/Policies"]) { $1 })
        #expect(try context.policy().allowed.isEmpty)
    }

    @Test("a pattern in the allow-list is refused")
    func pattern() throws {
        let context = try self.context([
            "ALLOW_ACTIONS_DEFAULT": "queue.*", "ORCHESTRA_POLICIES_DIRECTORY": packageRoot + "/Policies",
        ])
        #expect(throws: CommandError.self) { try context.policy() }
    }

    @Test("the policy directory that is set is used as it is")
    func policies() throws {
        #expect(try self.context(["ORCHESTRA_POLICIES_DIRECTORY": "/p"]).policiesDirectory() == "/p")
    }

    @Test("a pin that is not a SHA-256 digest is refused")
    func pins() throws {
        let context = try self.context(["REDIS_URL": "rediss://h:1", "REDIS_TLS_PINS": "00"])
        #expect(throws: CommandError.self) { try context.redis() }
    }

    @Test("the API is off unless an address is set")
    func apiOff() throws {
        #expect(try self.context().api() == nil)
        #expect(try self.context().localAPI(port: 1) == nil)
    }

    @Test("an API beyond loopback needs a certificate")
    func publicAPI() throws {
        let context = try self.context(["ORCHESTRA_API_LISTEN": "0.0.0.0:1"])
        let error = #expect(throws: CommandError.self) { try context.api() }
        #expect(error?.message.contains("a certificate") == true)
    }

    @Test("an address of the API is read", arguments: ["127.0.0.1:1", "[::1]:1", "localhost:1", "unix:/s"])
    func address(text: String) throws { #expect(try self.context(["ORCHESTRA_API_LISTEN": text]).api() != nil) }

    @Test(
        "a malformed address of the API is refused",
        arguments: ["x", "127.0.0.1", "host:1", "127.0.0.1:70000", "unix:s"])
    func malformedAddress(text: String) throws {
        let context = try self.context(["ORCHESTRA_API_LISTEN": text])
        #expect(throws: CommandError.self) { try context.api() }
    }

    @Test("a certificate and its key are given together")
    func halfTLS() throws {
        let context = try self.context([
            "ORCHESTRA_API_LISTEN": "127.0.0.1:1", "ORCHESTRA_API_TLS_KEY_FILE": "/k",
        ])
        #expect(throws: CommandError.self) { try context.api() }
    }

    @Test("an origin is exact", arguments: ["*", "https://", "ftp://x", "https://x/path", "https://*.x"])
    func origins(text: String) throws {
        let context = try self.context(["ORCHESTRA_API_LISTEN": "127.0.0.1:1", "ORCHESTRA_API_ORIGINS": text])
        #expect(throws: CommandError.self) { try context.api() }
    }

    @Test("an issuer needs an audience")
    func audience() throws {
        #expect(try self.context().tokenRules() == nil)
        let context = try self.context(["ORCHESTRA_AUTH_ISSUER": "https://i"])
        #expect(throws: CommandError.self) { try context.tokenRules() }
    }

    @Test("an unknown signature algorithm is refused", arguments: ["HS256", "none", ","])
    func algorithms(text: String) throws {
        let context = try self.context([
            "ORCHESTRA_AUTH_ISSUER": "https://i", "ORCHESTRA_AUTH_AUDIENCE": "a", "ORCHESTRA_AUTH_ALGORITHMS": text,
        ])
        #expect(throws: CommandError.self) { try context.tokenRules() }
    }

    private func advertising(_ url: String, _ more: [String: String] = [:]) throws -> APIConfiguration? {
        try self.context(
            ["ORCHESTRA_API_LISTEN": "127.0.0.1:8080", "ORCHESTRA_API_ADVERTISE": url].merging(more) { $1 }
        ).api()
    }

    @Test("an API advertises a server's URL, and accepts requests under its name")
    func advertise() throws {
        let api = try #require(try self.advertising("https://n1.Example:8443/"))
        #expect(api.advertisedURL == "https://n1.Example:8443" && api.hosts.contains("n1.example"))
        for url in ["http://127.0.0.1:8080", "http://[::1]:8080"] {
            #expect(try self.advertising(url)?.advertisedURL == url)
        }
        #expect(
            try self.advertising("https://a.test", ["ORCHESTRA_API_HOSTS": "b.test"])?.hosts == ["a.test", "b.test"])
    }

    @Test(
        "what is not the URL of a server, or would be plain text on a network, is not advertised",
        arguments: [
            "n1", "http://n1.example", "http://10.0.0.1:80", "https://", "https://u@n1", "https://n1/path",
            "https://n1?x",
            "https://n1#x", "ftp://n1", "https://n 1", "https://n1\r\nx",
        ])
    func notAdvertised(url: String) {
        let error = #expect(throws: CommandError.self) { try self.advertising(url) }
        #expect(error?.status == .configuration && error?.message.contains("api.advertise") == true)
    }

    @Test("in production an API advertises no plain HTTP, not even on this machine", arguments: ["127.0.0.1", "[::1]"])
    func advertiseInProduction(host: String) throws {
        let production = ["ENV": "production", "REDIS_URL": "rediss://redis.example"]
        let error = #expect(throws: CommandError.self) { try self.advertising("http://\(host):8080", production) }
        #expect(error?.status == .configuration && error?.message.contains("ENV=production") == true)
        #expect(try self.advertising("https://\(host):8080", production)?.advertisedURL == "https://\(host):8080")
    }

    @Test("an authority file for other nodes that cannot be used is refused")
    func forwardAuthority() {
        let error = #expect(throws: CommandError.self) {
            try self.advertising("https://a.test", ["ORCHESTRA_API_FORWARD_CA_FILE": "/nonexistent.pem"])
        }
        #expect(error?.message.contains("api.forward.ca-file") == true)
    }
}
