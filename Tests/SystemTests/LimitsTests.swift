import Domain
import Foundation
import Jobs
import Redis
import TestSupport
import Testing

@Suite("An action's limits", .serialized, .enabled(if: !isRoot, "the node refuses to run as root"))
struct LimitsTests {
    /// The shipped policies with `shell.run` and `agent.run` under these limits.
    private static func policies(_ installation: Installation, timeout: Int64, attempts: Int64) throws -> String {
        let directory = installation.directory + "/Policies"
        try FileManager.default.copyItem(atPath: packageRoot + "/Policies", toPath: directory)
        for action in ["shell.run", "agent.run"] {
            let path = "\(directory)/actions/\(action).json"
            let bytes = try #require(FileManager.default.contents(atPath: path))
            let members = try #require(try JSONParser.parse(Array(bytes)).members)
            var changed = members.map { member in
                switch member.name {
                case "timeout_seconds": JSONMember(member.name, .integer(timeout))
                case "max_attempts": JSONMember(member.name, .integer(attempts))
                default: member
                }
            }
            if action == "shell.run" { changed.append(JSONMember("permanent_statuses", [9, 65])) }
            try Data(JSONValue.object(changed).bytes).write(to: URL(fileURLWithPath: path))
        }
        return directory
    }

    private static func withNode(
        timeout: Int64, attempts: Int64, _ body: @escaping @Sendable (Installation) async throws -> Void
    ) async throws {
        try await Installation.with { installation in
            var environment = installation.environment(node: "n1")
            environment["ORCHESTRA_POLICIES_DIRECTORY"] = try self.policies(
                installation, timeout: timeout, attempts: attempts)
            let node = ManagedProcess(
                buildDirectory + "/orchestra", ["worker"], environment: environment,
                log: "\(installation.directory)/n1.log")
            try await installation.start(node)
            try await body(installation)
            await node.signal(SIGTERM)
            #expect(try await node.wait().code == 0)
        }
    }

    @Test("a command and an agent that run past their time are ended with their trees, and the job says why")
    func timeout() async throws {
        try await Self.withNode(timeout: 10, attempts: 1) { installation in
            let marker = "sleep 7\(Int.random(in: 1000...9999))"
            let command = try await installation.submit(
                "shell.run", ["command": .string("echo said-before; \(marker) & \(marker)")])
            let agent = try await installation.submit("agent.run", ["agent": "shell", "prompt": .string(marker)])
            for id in [command, agent] {
                let record = try await installation.ended(id)
                #expect(record.state == .discarded && record.failures == 1, "\(record.reason)")
                #expect(record.reason == "the time limit was reached")
                // What it had said is kept.
                let result = try await installation.result(record)
                #expect((id == command ? result["stdout"]?.string : result["terminal"]?.string)?.isEmpty == false)
            }
            #expect(ProcessTable().matching(marker).isEmpty)
            #expect(
                try await installation.auditCounts("job.outcome") == [command.description: 1, agent.description: 1])
        }
    }

    @Test("a failed run is tried again within its attempts, each failure in the audit trail, one outcome at the end")
    func retry() async throws {
        try await Self.withNode(timeout: 60, attempts: 2) { installation in
            let second = try await installation.submit(
                "shell.run", ["command": "if [ -e tried ]; then echo ok; else touch tried; exit 1; fi"])
            let never = try await installation.submit("shell.run", ["command": "exit 5"])
            let good = try await installation.ended(second)
            #expect(good.state == .completed && good.failures == 1)
            let bad = try await installation.ended(never)
            #expect(bad.state == .discarded && bad.failures == 2 && bad.reason.contains("status 5"))
            // A status that says that trying again cannot help.
            let permanent = try await installation.submit("shell.run", ["command": "exit 9"])
            let given = try await installation.ended(permanent)
            #expect(given.state == .discarded && given.failures == 1 && given.reason.contains("status 9"))
            #expect(
                try await installation.auditCounts("job.attempt") == [second.description: 1, never.description: 1])
            #expect(
                try await installation.auditCounts("job.outcome")
                    == [second.description: 1, never.description: 1, permanent.description: 1])
        }
    }

    @Test("a result that is not all that was written says so")
    func truncated() async throws {
        try await Self.withNode(timeout: 60, attempts: 1) { installation in
            func result(_ command: String) async throws -> JSONValue {
                let job = try await installation.submit("shell.run", ["command": .string(command)])
                return try await installation.result(try await installation.ended(job))
            }
            let whole = try await result("echo all")
            #expect(whole["truncated"] == nil && whole["stdout"] == "all\n")
            let cut = try await result("head -c 100000 /dev/zero | tr '\\0' x")
            #expect(cut["truncated"] == true && (cut["stdout"]?.string?.count ?? 0) > 30_000)
            #expect(try await result("echo no json >&3; echo out")["result_refused"] == "it is not JSON")
            let long = try await result("(echo -n '\"'; head -c 65536 /dev/zero | tr '\\0' x; echo '\"') >&3")
            #expect(
                long["result_refused"]?.string?.contains("longer than 65536 bytes") == true, "\(long.text.prefix(200))")
        }
    }

    @Test("a command that fails after it wrote a result leaves its outputs and status as evidence, with the result")
    func failedWithResult() async throws {
        try await Self.withNode(timeout: 60, attempts: 1) { installation in
            let job = try await installation.submit(
                "shell.run", ["command": #"echo '{"n":1}' >&3; echo out; echo why >&2; exit 7"#])
            let detail = try await installation.result(try await installation.ended(job))
            #expect(detail["exit_status"] == 7 && detail["stderr"] == "why\n" && detail["stdout"] == "out\n")
            #expect(detail["result"]?["n"] == 1)
        }
    }

    @Test("an agent is launched again after failures and a second attempt is a new launch, not the old record")
    func agentAttempts() async throws {
        try await Self.withNode(timeout: 60, attempts: 2) { installation in
            // Four launches an attempt: the first and the agent's three restarts. The fifth succeeds.
            let id = try await installation.submit(
                "agent.run",
                [
                    "agent": "shell",
                    "prompt": "echo x >> /workspace/count; [ $(wc -l < /workspace/count) -ge 5 ] || exit 9",
                ])
            let record = try await installation.ended(id)
            #expect(record.state == .completed && record.failures == 1, "\(record.reason)")
            #expect(try await installation.result(record)["launches"]?.integer == 5)
        }
    }

    @Test("the user, password and database of the URL are used, and a refused user is said without the password")
    func redisIdentity() async throws {
        try await Installation.with { installation in
            _ = try await installation.client.send(
                RedisCommand("ACL", "SETUSER", "orc", "on", ">pw", "~*", "&*", "+@all"))
            let url = installation.redis.url.replacing("unix://", with: "unix://orc:pw@") + "?db=3"
            let accepted = try await installation.command(["submit", "queue.noop"], change: ["REDIS_URL": url])
            #expect(accepted.code == 0, "\(accepted.errors)")
            #expect(try await installation.client.send(RedisCommand("EXISTS", "orc:{l0}:ready")).integer == 0)
            let space = try await installation.client.send(RedisCommand("INFO", "keyspace"))
            #expect(String(decoding: space.bytes, as: UTF8.self).contains("db3:"))
            let wrong = try await installation.command(
                ["submit", "queue.noop"], change: ["REDIS_URL": url.replacing(":pw@", with: ":no@")])
            #expect(wrong.code == 69 && wrong.errors.contains("refused this user"), "\(wrong.errors)")
            #expect(!wrong.errors.contains(":no@"))
        }
    }
}
