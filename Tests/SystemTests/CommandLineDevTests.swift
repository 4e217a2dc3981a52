import Domain
import Foundation
import Redis
import TestSupport
import Testing

@Suite("orchestra dev", .serialized, .enabled(if: !isRoot, "the node refuses to run as root"))
struct CommandLineDevTests {
    private static let orchestra = buildDirectory + "/orchestra"

    /// The variables of a user whose home is this directory.
    private func environment(_ home: String) -> [String: String] {
        [
            "HOME": home, "ORCHESTRA_POLICIES_DIRECTORY": packageRoot + "/Policies",
            "ORCHESTRA_SANDBOX_SELFTEST": "never",
        ]
    }

    /// A dev node in a home of its own that has come up.
    private func withDev(_ home: String, _ body: (ManagedProcess) async throws -> Void) async throws {
        let dev = ManagedProcess(
            Self.orchestra, ["dev", "--probe-port", "0"], environment: self.environment(home), log: home + "/dev.log")
        do {
            try await dev.start()
            try await eventually("dev is up") { await dev.output.contains("try next") }
            try await body(dev)
        } catch {
            await self.stop(dev)
            throw error
        }
        await self.stop(dev)
        #expect(ProcessTable().matching(home + "/.local").isEmpty)
    }

    /// Ends it as a user would: a killed one leaves its Redis to the next `dev`, which a test does not have.
    private func stop(_ dev: ManagedProcess) async {
        await dev.signal(SIGTERM)
        do { try await eventually("dev ends") { await !dev.isRunning } } catch {}
        await dev.kill9()
    }

    private func run(
        _ arguments: [String], _ home: String, _ change: [String: String] = [:]
    ) async throws -> (code: Int32, output: String, errors: String) {
        try await runProgram(Self.orchestra, arguments, environment: ["HOME": home].merging(change) { $1 })
    }

    @Test("the end of its terminal drains dev: its Redis ends too, and the status is 0")
    func hangUp() async throws {
        try await withDirectory { home in
            try await self.withDev(home) { dev in
                await dev.signal(SIGHUP)
                let ended = try await dev.wait()
                #expect(ended.code == 0)
                #expect(await dev.output.contains("stopped; no process is left behind"))
            }
            #expect(ProcessTable().matching(home).isEmpty)
        }
    }

    @Test("a client without a configuration uses the dev node and says so; in production it does not")
    func client() async throws {
        try await withDirectory { home in
            try await self.withDev(home) { _ in
                let job = try await self.run(["submit", "queue.noop", "--wait"], home)
                #expect(job.code == 0, "\(job.errors)")
                #expect(job.errors.contains("using the dev node at \(home)/.local/state/orchestra/dev"))
                let production = try await self.run(["submit", "queue.noop"], home, ["ENV": "production"])
                #expect(production.code == 78 && !production.errors.contains("using the dev node"))
                let denied = try await self.run(["submit", "queue.noop"], home, ["ALLOW_ACTIONS_DEFAULT": ""])
                #expect(denied.code == 77, "\(denied.errors)")
            }
        }
    }

    @Test("a production worker in a home where dev ran has nothing allowed, no Redis and no master key of dev")
    func workerAfterDev() async throws {
        try await Installation.with { installation in
            let home = installation.directory
            try await self.withDev(home) { dev in
                await dev.signal(SIGTERM)
                let ended = try await dev.wait()
                #expect(ended.code == 0)
            }
            #expect(FileManager.default.fileExists(atPath: home + "/.local/state/orchestra/dev/config.json"))
            let none = try await self.run(["worker", "--probe-port", "0"], home, ["ENV": "production"])
            #expect(none.code == 78, "\(none.errors)")
            var environment = installation.environment(node: "n1")
            environment["ALLOW_ACTIONS_DEFAULT"] = nil
            environment["ORCHESTRA_STATE_DIRECTORY"] = nil
            environment["ENV"] = "production"
            let node = ManagedProcess(Self.orchestra, ["worker"], environment: environment, log: home + "/n1.log")
            try await installation.start(node)
            #expect(await node.output.contains("nothing is allowed"))
            let job = try await runProgram(Self.orchestra, ["submit", "queue.noop"], environment: environment)
            #expect(job.code == 77, "\(job.errors)")
            let policy = try await runProgram(Self.orchestra, ["policy"], environment: environment)
            #expect(policy.code == 0 && !policy.output.contains("\nallowed "), "\(policy.output)")
            await node.signal(SIGTERM)
            #expect(try await node.wait().code == 0)
        }
    }

    @Test("a state directory with a long name works: jobs run, status answers, and the sockets have short names")
    func longStateDirectory() async throws {
        try await withDirectory { directory in
            let home = directory + "/" + String(repeating: "long-name-", count: 12)
            try FileManager.default.createDirectory(atPath: home, withIntermediateDirectories: true)
            try await self.withDev(home) { dev in
                let job = try await self.run(
                    ["submit", "shell.run", "--param", "command=echo long", "--wait"], home)
                #expect(job.code == 0 && job.output.contains("long"), "\(job.errors)\(job.output)")
                let status = try await self.run(["status"], home)
                #expect(status.code == 0 && status.output.contains("ready"), "\(status.errors)")
                await dev.signal(SIGTERM)
                let ended = try await dev.wait()
                #expect(ended.code == 0)
            }
            #expect(ProcessTable().matching(home).isEmpty)
        }
    }

    @Test("dev drains and stops its Redis when the reader of its output ends, with status 74 and no message")
    func closedPipe() async throws {
        try await withDirectory { home in
            let result = try await runProgram(
                "/bin/bash",
                ["-c", "\"$1\" dev --probe-port 0 | head -n 1; echo status ${PIPESTATUS[0]}", "bash", Self.orchestra],
                environment: self.environment(home))
            #expect(result.output.contains("is up") && result.output.contains("status 74"), "\(result.output)")
            #expect(result.errors.isEmpty, "\(result.errors)")
            #expect(ProcessTable().matching(home).isEmpty)
        }
    }

    @Test("a second dev with the same state directory is refused with the reason")
    func second() async throws {
        try await withDirectory { home in
            try await self.withDev(home) { _ in
                let second = try await runProgram(
                    Self.orchestra, ["dev", "--probe-port", "0"], environment: self.environment(home))
                #expect(second.code == 78)
                #expect(
                    second.errors.contains("another orchestra dev runs with this state directory"), "\(second.errors)")
            }
        }
    }
}
