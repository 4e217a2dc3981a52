import Foundation
import Redaction
import TestSupport
import Testing

@testable import orchestra

@Suite("Settings")
struct SettingsTests {
    private func settings(
        flags: [String: String] = [:], environment: [String: String] = [:], file: String? = nil
    ) throws -> Settings { try Settings(flags: flags, environment: environment, file: file) }

    /// The settings with a configuration file of this text.
    private func settings(file text: String, environment: [String: String] = [:]) async throws -> Settings {
        try await withDirectory { directory in
            let path = directory + "/config.json"
            try text.write(toFile: path, atomically: true, encoding: .utf8)
            return try self.settings(environment: environment, file: path)
        }
    }

    @Test("a flag hides the environment, the environment hides the file, the file hides the default")
    func order() async throws {
        let file = try await self.settings(file: #"{"worker.slots": 3}"#)
        #expect(try file.integer("worker.slots") == 3)
        let environment = try await self.settings(
            file: #"{"worker.slots": 3}"#, environment: ["ORCHESTRA_WORKER_SLOTS": "4"])
        #expect(try environment.integer("worker.slots") == 4)
        let flag = try self.settings(
            flags: ["worker.slots": "5"], environment: ["ORCHESTRA_WORKER_SLOTS": "4"])
        #expect(try flag.integer("worker.slots") == 5)
    }

    @Test("an empty variable is a value: it hides the file")
    func emptyVariable() async throws {
        let settings = try await self.settings(
            file: #"{"allow-actions-default": "shell.run"}"#, environment: ["ALLOW_ACTIONS_DEFAULT": ""])
        #expect(settings.text("allow-actions-default") == nil)
        #expect(settings.value("allow-actions-default")?.isEmpty == true)
        #expect(settings.source(of: "allow-actions-default") == "environment")
    }

    @Test("an empty flag is a value: it hides the environment")
    func emptyFlag() throws {
        let settings = try self.settings(
            flags: ["allow-actions-default": ""], environment: ["ALLOW_ACTIONS_DEFAULT": "shell.run"])
        #expect(settings.text("allow-actions-default") == nil)
    }

    @Test("an empty path is refused, because no directory has that name")
    func emptyPath() {
        #expect(throws: CommandError.self) { try self.settings(environment: ["ORCHESTRA_STATE_DIRECTORY": ""]) }
    }

    @Test(
        "an empty value that would mean all of them, or those of the system, is refused",
        arguments: [
            "ORCHESTRA_API_CLIENTS", "ORCHESTRA_AUTH_CLIENTS", "REDIS_TLS_PINS", "REDIS_TLS_CA_FILE",
            "ORCHESTRA_AUTH_CA_FILE", "ORCHESTRA_API_TLS_CLIENT_CA_FILE", "ORCHESTRA_NODE_NAME",
        ])
    func emptyRestriction(variable: String) {
        #expect(throws: CommandError.self) { try self.settings(environment: [variable: ""]) }
    }

    @Test("an empty environment is not development")
    func emptyEnvironment() {
        #expect(throws: CommandError.self) { try self.settings(environment: ["ENV": ""]) }
    }

    @Test("a key that must have a value and is empty is named with its source")
    func emptyRequired() throws {
        let settings = try self.settings(environment: ["REDIS_URL": ""])
        let error = #expect(throws: CommandError.self) { try settings.required("redis.url") }
        #expect(error?.message.contains("'redis.url' is empty (environment)") == true)
    }

    @Test("an unknown key is refused", arguments: ["worker.slot", "", "redis"])
    func unknownKey(name: String) {
        let error = #expect(throws: CommandError.self) { try self.settings(flags: [name: "1"]) }
        #expect(error?.status == .configuration)
    }

    @Test("an unknown variable with the product's prefix is refused, another one is not")
    func unknownVariable() throws {
        let error = #expect(throws: CommandError.self) { try self.settings(environment: ["ORCHESTRA_SLOTS": "1"]) }
        #expect(error?.message.contains("ORCHESTRA_SLOTS is unknown") == true)
        _ = try self.settings(environment: ["HOME": "/", "ORCHESTRAL": "x", "ORCHESTRA_CONFIG": "/x"])
    }

    @Test("a value outside the range is refused with the range")
    func range() {
        let error = #expect(throws: CommandError.self) { try self.settings(flags: ["worker.slots": "0"]) }
        #expect(error?.message.contains("an integer from 1 to 10000") == true)
    }

    @Test("a refused secret is not in the message")
    func secretInMessage() throws {
        let settings = try self.settings(environment: ["ORCHESTRA_MASTER_KEY": "hunter2"])
        let error = #expect(throws: CommandError.self) { try Context(settings: settings).masterKey() }
        #expect(error?.message.contains("hunter2") == false)
    }

    @Test("a secret is read from the file that the _FILE variable names, without the newline at its end")
    func secretFile() async throws {
        try await withDirectory { directory in
            try "s3cret\n".write(toFile: directory + "/password", atomically: true, encoding: .utf8)
            let settings = try self.settings(environment: ["REDIS_PASSWORD_FILE": directory + "/password"])
            #expect(settings.secret("redis.password")?.expose { $0 } == "s3cret")
        }
    }

    @Test("a secret and its _FILE together are refused, also when the secret is empty", arguments: ["x", ""])
    func bothSecrets(value: String) {
        let error = #expect(throws: CommandError.self) {
            try self.settings(environment: ["REDIS_PASSWORD": value, "REDIS_PASSWORD_FILE": "/dev/null"])
        }
        #expect(error?.message.contains("both") == true)
    }

    @Test("a secret's file that is missing is an error with the system's reason")
    func missingSecretFile() {
        let error = #expect(throws: CommandError.self) {
            try self.settings(environment: ["REDIS_PASSWORD_FILE": "/nonexistent/password"])
        }
        #expect(error?.message.contains("No such file or directory") == true)
    }

    @Test("a configuration file may nest its keys")
    func nested() async throws {
        let settings = try await self.settings(file: #"{"worker": {"slots": 3}, "node.name": "n"}"#)
        #expect(try settings.integer("worker.slots") == 3)
        #expect(settings.text("node.name") == "n")
    }

    @Test("a malformed configuration file is refused", arguments: ["{", "[]", #"{"node.name": true}"#, #"{"x": 1}"#])
    func malformedFile(text: String) async {
        let error = await #expect(throws: CommandError.self) { try await self.settings(file: text) }
        #expect(error?.status == .configuration)
    }

    @Test("a configuration file that is missing is refused with the system's reason")
    func missingFile() {
        let error = #expect(throws: CommandError.self) { try self.settings(file: "/nonexistent.json") }
        #expect(error?.status == .configuration && error?.message.contains("No such file") == true)
    }

    @Test("a key without a value has no source")
    func unset() throws { #expect(try self.settings().source(of: "node.name") == "unset") }

    @Test("seconds are a duration")
    func seconds() throws { #expect(try self.settings().seconds("worker.grace") == .seconds(30)) }
}
