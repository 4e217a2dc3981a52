import Domain
import Foundation
import TestSupport
import Testing

@testable import orchestra

@Suite("SettingSources")
struct SettingSourcesTests {
    /// The client's configuration and the dev node it uses, in a home where `orchestra dev` ran.
    private func client(
        flags: [String: String] = [:], environment: [String: String] = [:], hasDev: Bool = true,
        userFile: String? = nil, config: String? = nil
    ) async throws -> (own: Context, dev: Context?) {
        try await withDirectory { home in
            let dev = DevNode(base: home + "/.local/state/orchestra")
            try FileManager.default.createDirectory(atPath: dev.directory, withIntermediateDirectories: true)
            if hasDev {
                let file: JSONValue = [
                    "redis.url": "unix:///dev.sock", "allow-actions-default": "shell.run",
                    "state-directory": .string(dev.directory),
                    "master-key": .string(String(repeating: "5a", count: 32)),
                ]
                try Host.writePrivate(dev.configurationFile, file.text)
            }
            if let userFile {
                let path = home + "/.config/orchestra/config.json"
                try FileManager.default.createDirectory(
                    atPath: home + "/.config/orchestra", withIntermediateDirectories: true)
                try userFile.write(toFile: path, atomically: true, encoding: .utf8)
            }
            let directories = UserDirectories(
                environment: environment.merging(["HOME": home]) { $1 }, accountHome: "/nonexistent")
            let sources = try SettingSources(flags: flags, config: config, directories: directories)
            let own = try sources.context()
            return (own, try sources.devContext(besides: own)?.0)
        }
    }

    @Test("a client without a configuration of its own uses the dev node")
    func usesDev() async throws {
        let dev = try #require(try await self.client().dev)
        #expect(dev.settings.text("redis.url") == "unix:///dev.sock")
        #expect(dev.stateDirectory.hasSuffix("/orchestra/dev"))
    }

    @Test("what a node reads has nothing of the dev node")
    func nodeReadsNothing() async throws {
        let own = try await self.client().own
        #expect(own.settings.text("allow-actions-default") == nil)
        #expect(own.settings.text("master-key") == nil)
        #expect(own.settings.source(of: "redis.url") == "default")
    }

    @Test("without a dev node there is nothing to use")
    func noDev() async throws { #expect(try await self.client(hasDev: false).dev == nil) }

    @Test("in production the dev node is never used")
    func production() async throws {
        #expect(try await self.client(environment: ["ENV": "production"]).dev == nil)
        #expect(try await self.client(flags: ["environment": "production"]).dev == nil)
    }

    @Test(
        "a client with a Redis or a master key of its own does not use the dev node",
        arguments: [["REDIS_URL": "redis://127.0.0.1:1"], ["ORCHESTRA_MASTER_KEY": "00"], ["REDIS_URL": ""]])
    func ownVariables(environment: [String: String]) async throws {
        #expect(try await self.client(environment: environment).dev == nil)
    }

    @Test("a client with a configuration file does not use the dev node")
    func ownFile() async throws { #expect(try await self.client(userFile: "{}").dev == nil) }

    @Test("a client of the dev node keeps its own allow-list, also an empty one")
    func ownAllowList() async throws {
        let dev = try #require(try await self.client(environment: ["ALLOW_ACTIONS_DEFAULT": ""]).dev)
        #expect(dev.settings.text("allow-actions-default") == nil)
    }

    @Test("the user's file is found below the configuration directory")
    func userFile() async throws {
        let own = try await self.client(userFile: #"{"node.name": "mine"}"#).own
        #expect(own.settings.text("node.name") == "mine")
    }

    @Test("a file that is named and empty is an error, not its absence")
    func emptyConfig() async {
        await #expect(throws: CommandError.self) { try await self.client(environment: ["ORCHESTRA_CONFIG": ""]) }
    }

    @Test(
        "a secret is refused on the command line",
        arguments: [["master-key": "00"], ["redis.password": "x"], ["redis.url": "redis://user:password@host:1"]])
    func secretFlags(flags: [String: String]) async {
        let error = await #expect(throws: CommandError.self) { try await self.client(flags: flags) }
        #expect(error?.message.contains("must not be on the command line") == true)
    }

    @Test("a Redis URL with a user and no password is accepted on the command line")
    func userInURL() async throws { _ = try await self.client(flags: ["redis.url": "redis://user@host:1"]) }
}
