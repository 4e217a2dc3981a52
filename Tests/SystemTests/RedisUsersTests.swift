import Domain
import Foundation
import Jobs
import Redis
import TestSupport
import Testing

/// The users of `ops/redis/users.acl`, on a real Redis, with a real node.
@Suite("Redis' users", .enabled(if: !isRoot, "the node refuses to run as root"))
struct RedisUsersTests {
    /// Makes the users as the file says, with a password each.
    private static func makeUsers(_ installation: Installation) async throws {
        let text = try String(contentsOfFile: packageRoot + "/ops/redis/users.acl", encoding: .utf8)
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ").map(String.init)
            try #require(words.first == "user" && words.contains("off") && words.contains("-@all"))
            var command = RedisCommand("ACL", "SETUSER")
            for word in words.dropFirst() { command.append(word) }
            command.append("on")
            command.append(">pw")
            _ = try await installation.client.send(command)
        }
    }

    private static func url(_ installation: Installation, _ user: String) -> String {
        installation.redis.url.replacing("unix://", with: "unix://\(user):pw@")
    }

    @Test("a node and a submitter work with no more rights than the file gives them")
    func leastPrivilege() async throws {
        try await Installation.with { installation in
            try await Self.makeUsers(installation)
            var environment = installation.environment(node: "n1")
            environment["REDIS_URL"] = Self.url(installation, "orchestra-node")
            let node = ManagedProcess(
                buildDirectory + "/orchestra", ["worker"], environment: environment,
                log: "\(installation.directory)/n1.log")
            try await installation.start(node)
            let submitter = [
                "REDIS_URL": Self.url(installation, "orchestra-submitter-acme"), "ORCHESTRA_WORKSPACE": "acme",
            ]
            let done = try await installation.command(
                ["submit", "shell.run", "--param", "command=echo fine", "--wait"], change: submitter)
            #expect(done.code == 0 && done.output.contains("fine"), "\(done.output)\(done.errors)")
            let later = try await installation.command(
                ["submit", "queue.noop", "--delay", "1", "--wait"], change: submitter)
            #expect(later.code == 0, "\(later.errors)")
            let failed = try await installation.command(
                ["submit", "shell.run", "--param", "command=exit 3", "--wait"], change: submitter)
            #expect(failed.code == 1)
            // A client of the workspace damaged its trail and a counter; neither stops its submissions.
            for key in ["w:acme:audit", "counts"] {
                _ = try await installation.client.send(RedisCommand("SET", "orc:{l0}:\(key)", "x"))
                let next = try await installation.command(["submit", "queue.noop", "--wait"], change: submitter)
                #expect(next.code == 0, "\(next.errors)")
            }
            #expect(try await installation.auditCounts("job.outcome").count == 2)
            for arguments in [["jobs", "list"], ["submit", "no.such"]] {
                let answer = try await installation.command(arguments, change: submitter)
                #expect(!answer.errors.contains("NOPERM"), "\(answer.errors)")
            }
            // The operator's work, with the node's rights.
            let operating = submitter.merging(["REDIS_URL": Self.url(installation, "orchestra-node")]) { $1 }
            let dead = try await installation.command(["dead", "list"], change: operating)
            #expect(dead.code == 0 && dead.output.contains("shell.run"))
            try Data("sk-1".utf8).write(to: URL(fileURLWithPath: installation.directory + "/key"))
            for arguments in [
                ["credentials", "add", "a", "--host", "a.test", "--file", installation.directory + "/key"],
                ["credentials", "list"], ["credentials", "remove", "a"],
                [
                    "budgets", "set", "b", "--scope", "job", "--window", "run", "--unit", "tokens", "--amount", "5",
                ], ["budgets", "show"], ["budgets", "remove", "b"],
            ] {
                let answer = try await installation.command(arguments, change: operating)
                #expect(answer.code == 0, "\(arguments): \(answer.errors)")
            }
            let log = await node.output
            #expect(!log.contains("NOPERM"), "\(log)")
        }
    }

    @Test(
        "neither can do what it has no business with",
        arguments: [
            ("orchestra-submitter-acme", ["XREVRANGE", "orc:{l0}:audit", "+", "-"]),
            ("orchestra-submitter-acme", ["XREVRANGE", "orc:{l0}:w:acme:audit", "+", "-"]),
            ("orchestra-submitter-acme", ["XADD", "orc:{l0}:audit", "*", "e", "x"]),
            ("orchestra-submitter-acme", ["DEL", "orc:{l0}:audit"]),
            ("orchestra-submitter-acme", ["XADD", "orc:{l0}:w:other:audit", "*", "e", "x"]),
            ("orchestra-submitter-acme", ["HSET", "orc:{l0}:run:n1", "x", "y"]),
            ("orchestra-submitter-acme", ["XADD", "orc:{l0}:w:other:s:2", "*", "e", "x"]),
            ("orchestra-submitter-acme", ["HGET", "orc:{l0}:w:other:k", "1"]),
            // Workspaces and a node whose names are those of shared keys.
            ("orchestra-submitter-acme", ["HGET", "orc:{l0}:w:ready:k", "1"]),
            ("orchestra-submitter-acme", ["LPUSH", "orc:{l0}:w:done:n", "x"]),
            ("orchestra-submitter-acme", ["HGET", "orc:{l0}:w:run:k", "1"]),
            ("orchestra-submitter-acme", ["HSET", "orc:{l0}:node:lane", "inc", "x"]),
            ("orchestra-submitter-acme", ["SET", "orc:{l0}:api:master", "x"]),
            ("orchestra-submitter-acme", ["HSET", "orc:{l0}:w:other:u", "x", "y"]),
            (
                "orchestra-submitter-acme",
                ["FUNCTION", "LOAD", "REPLACE", "#!lua name=x\nredis.register_function('x', function() end)"]
            ),
            ("orchestra-submitter-acme", ["ZADD", "orc:{l0}:nodes", "1", "n1"]),
            ("orchestra-submitter-acme", ["HSET", "orc:{l0}:auth:provider:master:sealed", "anthropic", "x"]),
            ("orchestra-submitter-acme", ["HGET", "orc:{l0}:auth:provider:acme:sealed", "anthropic"]),
            ("orchestra-submitter-acme", ["HSET", "orc:{l0}:budget:limits", "a", "{}"]),
            ("orchestra-submitter-acme", ["FLUSHALL"]),
            ("orchestra-submitter-acme", ["SET", "other", "x"]), ("orchestra-node", ["FLUSHALL"]),
            ("orchestra-node", ["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]),
            ("orchestra-node", ["KEYS", "*"]),
            ("orchestra-node", ["GET", "other"]), ("orchestra-node", ["ACL", "LIST"]),
        ])
    func refused(user: String, words: [String]) async throws {
        try await Installation.with { installation in
            try await Self.makeUsers(installation)
            var configuration = installation.redis.configuration
            configuration.username = user
            configuration.password = "pw"
            try await withClient(configuration) { client in
                var command = RedisCommand(words[0])
                for word in words.dropFirst() { command.append(word) }
                let refused = command
                let error = await #expect(throws: RedisError.self) { try await client.send(refused) }
                #expect(error.map { "\($0)" }?.contains("NOPERM") == true)
            }
        }
    }
}
