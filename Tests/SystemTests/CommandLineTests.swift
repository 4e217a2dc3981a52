import Domain
import Foundation
import Jobs
import Redis
import TestSupport
import Testing

@Suite("The command line", .enabled(if: !isRoot, "the node refuses to run as root"))
struct CommandLineTests {
    /// A command that must end with this status and say this, having changed nothing.
    struct Refusal: Sendable, CustomTestStringConvertible {
        let arguments: [String]
        var environment: [String: String] = [:]
        let code: Int32
        let words: String

        var testDescription: String { self.arguments.joined(separator: " ") }
    }

    @Test(
        "bad input ends in one sentence, the right status, and nothing stored",
        arguments: [
            Refusal(arguments: ["submit", "shell.nothing"], code: 77, words: "not allowed"),
            Refusal(arguments: ["submit", "Shell.Run"], code: 64, words: "not a valid action"),
            Refusal(
                arguments: ["submit", "queue.noop"], environment: ["ALLOW_ACTIONS_DEFAULT": ""], code: 77,
                words: "ALLOW_ACTIONS_DEFAULT"),
            Refusal(
                arguments: ["submit", "queue.noop"], environment: ["ALLOW_ACTIONS_DEFAULT": "queue.*"], code: 78,
                words: "not a valid action"),
            Refusal(arguments: ["submit", "shell.run"], code: 65, words: "must have 'command'"),
            Refusal(arguments: ["submit", "shell.run", "--param", "command"], code: 64, words: "name=value"),
            Refusal(arguments: ["submit", "shell.run", "--param", "command:=1"], code: 65, words: "of type string"),
            Refusal(
                arguments: ["submit", "shell.run", "--param", "command=a", "--param", "x=1"], code: 65,
                words: "must not have 'x'"),
            Refusal(arguments: ["submit", "queue.noop", "--json", "/nonexistent"], code: 64, words: "cannot be read"),
            Refusal(
                arguments: ["submit", "queue.noop", "--request-id", "1"], code: 64, words: "not a valid request id"),
            Refusal(
                arguments: ["submit", "queue.noop", "--workspace", "../x"], code: 64, words: "not a valid workspace"),
            Refusal(arguments: ["jobs", "show", "x"], code: 64, words: "not a valid job id"),
            Refusal(arguments: ["jobs", "list", "--limit", "0"], code: 64, words: "1 to 10000"),
            Refusal(
                arguments: ["agents", "logs", "0197f3a2-7c1e-7b52-9d0a-5a1f6f0c2b11"], code: 65, words: "no agent"),
            Refusal(arguments: ["worker", "--redis-url", "http://x"], code: 78, words: "expected redis://"),
            Refusal(
                arguments: ["worker", "--redis-url", "unix:///nonexistent.sock"], code: 69, words: "cannot be reached"),
            Refusal(arguments: ["worker", "--redis-url", "redis://127.0.0.1:1"], code: 69, words: "cannot be reached"),
            Refusal(
                arguments: ["worker", "--redis-url", "redis://127.0.0.1:1"], environment: ["ENV": "production"],
                code: 78,
                words: "expected rediss://"),
            Refusal(arguments: ["worker", "--node-name", "a b"], code: 78, words: "node.name"),
            Refusal(arguments: ["worker", "--slots", "0"], code: 78, words: "an integer from 1"),
            Refusal(arguments: ["worker", "--set", "worker.slot=1"], code: 78, words: "unknown"),
            Refusal(
                arguments: ["worker"], environment: ["ORCHESTRA_SLOTS": "1"], code: 78,
                words: "ORCHESTRA_SLOTS is unknown"),
            Refusal(arguments: ["worker"], environment: ["ORCHESTRA_MASTER_KEY": ""], code: 78, words: "no master key"),
            Refusal(
                arguments: ["worker"], environment: ["ORCHESTRA_MASTER_KEY": "x"], code: 78, words: "64 hexadecimal"),
            Refusal(
                arguments: ["worker"], environment: ["ORCHESTRA_MASTER_KEY_FILE": "/x"], code: 78,
                words: "expected one of them"),
            Refusal(
                arguments: ["worker"], environment: ["ORCHESTRA_POLICIES_DIRECTORY": "/nonexistent"], code: 78,
                words: "policy directory"),
            Refusal(
                arguments: ["worker"], environment: ["ORCHESTRA_STATE_DIRECTORY": ""], code: 78,
                words: "expected a path"),
            Refusal(
                arguments: ["worker"], environment: ["ENV": "production", "ORCHESTRA_PROBE_HOST": "0.0.0.0"], code: 78,
                words: "--set insecure.public-probe=yes"),
            Refusal(arguments: ["config", "--config", "/nonexistent.json"], code: 78, words: "cannot be read"),
            Refusal(arguments: ["nonsense"], code: 64, words: "nonsense"),
        ])
    func refusals(refusal: Refusal) async throws {
        try await Installation.with { installation in
            let result = try await installation.command(refusal.arguments, change: refusal.environment)
            #expect(result.code == refusal.code, "\(result.errors)")
            #expect(result.errors.contains(refusal.words), "\(result.errors)")
            #expect(!result.errors.contains(Installation.master))
            #expect(try await installation.client.send(RedisCommand("KEYS", "orc:{l0}:w:*:s:*")).elements.isEmpty)
            #expect(try await installation.client.send(RedisCommand("EXISTS", "orc:{l0}:nodes")).integer == 0)
        }
    }

    @Test(
        "a program that is missing is named with the package that brings it",
        arguments: [("tmux", ["worker"]), ("bwrap", ["worker"]), ("redis-server", ["dev"])])
    func missingProgram(name: String, command: [String]) async throws {
        try await Installation.with { installation in
            // The machine as it would be without the program: it is covered by a file that cannot be executed.
            let cover = installation.directory + "/cover"
            #expect(
                FileManager.default.createFile(atPath: cover, contents: nil, attributes: [.posixPermissions: 0o644]))
            var environment = installation.environment(node: "n1")
            if name == "redis-server" { environment["REDIS_URL"] = nil }
            let result = try await runProgram(
                "/usr/bin/bwrap",
                [
                    "--dev-bind", "/", "/", "--ro-bind", cover, "/usr/bin/\(name)",
                    buildDirectory + "/orchestra",
                ]
                    + command, environment: environment)
            #expect(result.code == 69, "\(result.errors)")
            #expect(result.errors.contains("\(name) was not found") && result.errors.contains("apt-get install"))
        }
    }

    @Test("a policy file that cannot be read or a param file that is too large changes nothing")
    func unusableFiles() async throws {
        try await Installation.with { installation in
            let policies = installation.directory + "/Policies"
            try FileManager.default.copyItem(atPath: packageRoot + "/Policies", toPath: policies)
            try FileManager.default.setAttributes(
                [.posixPermissions: 0o000], ofItemAtPath: policies + "/actions/shell.run.json")
            let policy = try await installation.command(["worker"], change: ["ORCHESTRA_POLICIES_DIRECTORY": policies])
            #expect(policy.code == 78 && policy.errors.contains("shell.run.json cannot be read"), "\(policy.errors)")
            let large = JSONValue.object([JSONMember("note", .string(String(repeating: "x", count: 65_536)))]).bytes
            #expect(
                FileManager.default.createFile(atPath: installation.directory + "/large.json", contents: Data(large)))
            let params = try await installation.command(
                ["submit", "queue.noop", "--json", installation.directory + "/large.json"])
            #expect(params.code == 65 && params.errors.contains("at most 65536"), "\(params.errors)")
            #expect(try await installation.client.send(RedisCommand("KEYS", "orc:{l0}:w:*:s:*")).elements.isEmpty)
        }
    }

    @Test("a denial is in the audit trail, an accepted job too")
    func audit() async throws {
        try await Installation.with { installation in
            _ = try await installation.command(["submit", "shell.nothing"])
            _ = try await installation.command(["submit", "queue.noop"])
            let kinds = try await installation.client.auditEntries()
                .flatMap { $0.elements[1].elements.compactMap(\.string) }
            #expect(kinds.contains { $0.contains(#""kind":"job.denied""#) && $0.contains(#""rule":"allow-list""#) })
            #expect(kinds.contains { $0.contains(#""kind":"job.submitted""#) })
        }
    }

    @Test("a Redis that may evict, is too full of rights, or is under another master key is refused by name")
    func unfitRedis() async throws {
        try await Installation.with(redisOptions: ["--maxmemory-policy", "allkeys-lru"]) { installation in
            let result = try await installation.command(["worker"])
            #expect(result.code == 69 && result.errors.contains("noeviction"))
        }
        try await Installation.with(redisOptions: ["--requirepass", "right"], password: "right") { installation in
            for password in ["", "wrong"] {
                let result = try await installation.command(["worker"], change: ["REDIS_PASSWORD": password])
                #expect(result.code == 69 && result.errors.contains("REDIS_PASSWORD"), "\(result.errors)")
            }
        }
        try await Installation.with { installation in
            #expect(try await installation.command(["submit", "queue.noop"]).code == 0)
            let node = try await installation.command(
                ["worker"], change: ["ORCHESTRA_MASTER_KEY": String(repeating: "00", count: 32)])
            #expect(node.code == 78 && node.errors.contains("another master key"), "\(node.errors)")
            let other = try await installation.command(
                ["submit", "queue.noop"], change: ["ORCHESTRA_MASTER_KEY": String(repeating: "00", count: 32)])
            #expect(other.code == 78 && other.errors.contains("another master key"), "\(other.errors)")
        }
    }

    @Test("a second node on the same state directory is refused, and so is a taken probe port")
    func taken() async throws {
        try await Installation.with { installation in
            let node = installation.node("n1")
            try await installation.start(node)
            let second = try await installation.command(["worker"])
            #expect(second.code == 78 && second.errors.contains("another orchestra worker runs"), "\(second.errors)")
            let line = try #require(
                await node.output.split(separator: "\n").first { $0.contains("the probe port is open") })
            let port = try #require(try JSONParser.parse(Array(line.utf8))["probe.port"]?.string)
            let third = try await installation.command(["worker", "--probe-port", port], node: "n3")
            #expect(third.code == 69 && third.errors.contains("probe port"), "\(third.errors)")
            await node.signal(SIGTERM)
            #expect(try await node.wait().code == 0)
        }
    }

    @Test("submit --wait prints the states and the result; a failed job is status 1; a repeat answers the first id")
    func submitAndWait() async throws {
        try await Installation.with { installation in
            let node = installation.node("n1")
            try await installation.start(node)
            let good = try await installation.command([
                "submit", "shell.run", "--param", "command=echo out; echo err >&2", "--wait",
            ])
            #expect(good.code == 0, "\(good.errors)")
            #expect(good.output.contains("completed") && good.output.contains("out"))
            let bad = try await installation.command(["submit", "shell.run", "--param", "command=exit 3", "--wait"])
            #expect(bad.code == 1 && bad.output.contains("status 3"))
            let request = UUID().uuidString
            let json = ["submit", "queue.noop", "--request-id", request, "--json-output"]
            let first = try JSONParser.parse(Array(try await installation.command(json).output.utf8))
            let second = try JSONParser.parse(Array(try await installation.command(json).output.utf8))
            #expect(first["duplicate"] == .bool(false) && second["duplicate"] == .bool(true))
            #expect(first["job_id"] == second["job_id"])
            let conflict = try await installation.command(json + ["--param", "note=x"])
            #expect(conflict.code == 65)
            let list = try await installation.command(["jobs", "list", "--workspace", "default"])
            #expect(list.output.split(separator: "\n").count == 3)
            await node.signal(SIGTERM)
            #expect(try await node.wait().code == 0)
        }
    }

    @Test("the probe port is right while Redis is away, and promtool finds no problem in the metrics")
    func probes() async throws {
        try await Installation.with { installation in
            let node = installation.node("n1")
            try await installation.start(node)
            _ = try await installation.ended(try await installation.submit("queue.noop", [:]))
            let line = try #require(
                await node.output.split(separator: "\n").first { $0.contains("the probe port is open") })
            let port = try #require(try JSONParser.parse(Array(line.utf8))["probe.port"]?.string)
            func get(_ path: String) async throws -> String {
                try await runProgram("/usr/bin/curl", ["-s", "-i", "http://127.0.0.1:\(port)\(path)"]).output
            }
            #expect(try await get("/livez").contains("200 OK"))
            #expect(try await get("/startupz").contains("200 OK"))
            #expect(try await get("/readyz?verbose").contains("[+]claims"))
            #expect(try await get("/else").contains("404"))
            let metrics = try await get("/metrics")
            let text = try #require(metrics.split(separator: "\r\n\r\n", maxSplits: 1).last)
            #expect(text.contains(#"orchestra_jobs_total{action="queue.noop",outcome="completed"} 1"#))
            if isInstalled("promtool") {
                let lint = try await runProgram("/usr/bin/promtool", ["check", "metrics"], input: String(text))
                #expect(lint.code == 0 && lint.output.isEmpty && lint.errors.isEmpty, "\(lint.output)\(lint.errors)")
            }
            await installation.redis.process.kill9()
            try await eventually("not ready") { try await get("/readyz").contains("503") }
            #expect(try await get("/livez").contains("200 OK"))
            #expect(try await get("/metrics").contains(#"orchestra_redis_up{connection="commands"} 0"#))
            try await installation.redis.start()
            try await eventually("ready again") { try await get("/readyz").contains("200 OK") }
            _ = try await installation.ended(try await installation.submit("queue.noop", [:]))
            #expect(await !node.output.contains("a supervised child failed"))
            await node.signal(SIGTERM)
            #expect(try await node.wait().code == 0)
        }
    }

    @Test("dev brings a Redis of its own, runs the demonstration, and leaves no process behind, not even killed")
    func dev() async throws {
        try await withDirectory { directory in
            let dev = ManagedProcess(
                buildDirectory + "/orchestra", ["dev", "--demo", "--probe-port", "0"],
                environment: [
                    "HOME": directory, "ORCHESTRA_POLICIES_DIRECTORY": packageRoot + "/Policies",
                    "ORCHESTRA_SANDBOX_SELFTEST": "never",
                ], log: directory + "/dev.log")
            for isKilled in [true, false] {
                let runs = await dev.output.ranges(of: "try next").count
                try await dev.start()
                try await eventually("the demonstration is over") {
                    await dev.output.ranges(of: "try next").count > runs
                }
                #expect(await dev.output.contains("hello from a sandboxed agent\n"))
                let run = try await runProgram(
                    buildDirectory + "/orchestra", ["submit", "shell.run", "--param", "command=echo again", "--wait"],
                    environment: ["HOME": directory])
                #expect(run.code == 0 && run.output.contains("again"), "\(run.errors)")
                if isKilled {
                    await dev.kill9()
                } else {
                    await dev.signal(SIGINT)
                    #expect(try await dev.wait().code == 0)
                }
            }
            #expect(ProcessTable().matching(directory).isEmpty)
        }
    }

    @Test("config shows where each value comes from and masks secrets; doctor finds every layer of the sandbox")
    func configAndDoctor() async throws {
        try await Installation.with { installation in
            let config = try await installation.command(["config", "--set", "worker.slots=7"])
            #expect(config.output.contains("worker.slots = 7   [flag]"))
            #expect(config.output.contains("node.name = n1   [environment]"))
            #expect(config.output.contains("worker.grace = 30   [default]"))
            #expect(config.output.contains("master-key = <secret>   [environment]"))
            #expect(!config.output.contains(Installation.master))
            let lines = try await installation.command(["doctor", "--json"])
            // A host without control groups or subordinate users is warned about.
            let levels = try lines.output.split(separator: "\n").map {
                try JSONParser.parse(Array($0.utf8))["level"]?.string
            }
            #expect(!levels.isEmpty && !levels.contains("fail"), "\(lines.output)")
            let plan = try await installation.command(["doctor", "--capacity", "100", "--json"])
            // Request ids alone: 98 bytes for a day and a quarter.
            #expect(try JSONParser.parse(Array(plan.output.utf8))["request ids"]?.integer == 1_058_400_000)
            #expect(try await installation.command(["doctor", "--capacity", "0"]).code == 64)
            let doctor = try await installation.command(["doctor"])
            #expect(doctor.code == 0, "\(doctor.output)")
            for layer in ["namespaces", "network", "environment", "refused-calls", "mounts", "descriptors", "landlock"]
            {
                #expect(doctor.output.contains("sandbox: \(layer)"))
            }
            #expect(!doctor.output.split(separator: "\n").contains { $0.hasPrefix("fail") })
        }
    }

    @Test(
        "every command explains itself",
        arguments: [
            [], ["dev"], ["worker"], ["submit"], ["jobs", "list"], ["jobs", "show"], ["agents", "list"],
            ["agents", "logs"], ["agents", "attach"], ["sandbox", "exec"], ["selftest", "escape"], ["doctor"],
            ["config"], ["policy"],
        ])
    func help(command: [String]) async throws {
        let result = try await runProgram(buildDirectory + "/orchestra", command + ["--help"])
        #expect(result.code == 0 && result.output.contains("EXAMPLE"))
    }

    @Test(
        "the parsers refuse or read 20,000 mutations of every seed and never crash",
        arguments: ["resp", "shim", "json"])
    func fuzz(target: String) async throws {
        let result = try await runProgram(
            buildDirectory + "/orchestra-fuzz",
            [target, packageRoot + "/Tests/Fuzz/Seeds/" + target, "--runs", "20000"])
        #expect(result.code == 0 && result.output.contains("no findings"), "\(result.output)")
    }
}
