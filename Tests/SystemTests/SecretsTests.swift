import Domain
import Foundation
import Jobs
import Redis
import TestSupport
import Testing

@Suite("Secrets of agents", .serialized, .enabled(if: !isRoot, "the node refuses to run as root"))
struct SecretsTests {
    private static func write(_ text: String, _ path: String, mode: Int = 0o600) throws {
        let directory = URL(fileURLWithPath: path).deletingLastPathComponent().path
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
    }

    private static func withNode(
        _ body: @escaping @Sendable (Installation, _ policies: [String: String]) async throws -> Void
    ) async throws {
        try await Installation.with { installation in
            let policies = installation.directory + "/p"
            try FileManager.default.copyItem(atPath: packageRoot + "/Policies", toPath: policies)
            try Self.write(
                """
                {"name": "holder", "summary": "a shell that stays and has a secret", "environment": {"HISTFILE": ""},
                "argv": ["/bin/bash", "--noprofile", "--norc", "-i"], "secrets": ["token"], "closing": []}
                """, policies + "/agents/holder.json")
            let action = try String(contentsOfFile: policies + "/actions/shell.run.json", encoding: .utf8)
                .replacing("\"shell.run\"", with: "\"secret.run\"")
                .replacing("\"sandbox\"", with: "\"secrets\": [\"token\"], \"sandbox\"")
            try Self.write(action, policies + "/actions/secret.run.json")
            let change = [
                "ORCHESTRA_POLICIES_DIRECTORY": policies, "ORCHESTRA_WORKSPACE": "acme",
                "ALLOW_ACTIONS_DEFAULT": "agent.run,secret.run",
                "ORCHESTRA_SECRETS_DIRECTORY": installation.directory + "/secrets",
            ]
            let node = ManagedProcess(
                buildDirectory + "/orchestra", ["worker"],
                environment: installation.environment(node: "n1").merging(change) { $1 },
                log: installation.directory + "/n1.log")
            try await installation.start(node)
            try await body(installation, change)
        }
    }

    @Test("a program gets its secret as a file that nothing outside ever holds")
    func nowhereElse() async throws {
        try await Self.withNode { installation, change in
            let secret = "planted-\(UInt64.random(in: 1 << 60...UInt64.max))"
            try Self.write(secret, installation.directory + "/secrets/acme/token")
            let digest = try await runProgram("/bin/sh", ["-c", "printf %s \(secret) | sha256sum"]).output
                .prefix(64)
            let command = try await installation.submit(
                "secret.run",
                ["command": "sha256sum < /run/secrets/token; env; cat /proc/*/cmdline /proc/*/environ; true"])
            let job = try await installation.ended(command)
            #expect(job.state == .completed, "\(job.reason)")
            #expect(try await installation.result(job)["stdout"]?.string?.hasPrefix(digest) == true)
            let started = try await installation.command(
                ["agents", "start", "holder", "--prompt", "sha256sum < /run/secrets/token", "--json"], change: change)
            let id = try #require(try JSONParser.parse(Array(started.output.utf8))["agent_id"]?.string)
            try await eventually("the agent has read it") {
                try await installation.command(["agents", "logs", id], change: change).output.contains(digest)
            }
            // While it lives: every process that we may look at, its terminal, and what Redis would write down.
            for name in try FileManager.default.contentsOfDirectory(atPath: "/proc") where Int(name) != nil {
                for file in ["cmdline", "environ"] {
                    let bytes = FileManager.default.contents(atPath: "/proc/\(name)/\(file)") ?? Data()
                    #expect(!String(decoding: bytes, as: UTF8.self).contains(secret), "/proc/\(name)/\(file)")
                }
            }
            let view = "\(installation.directory)/n1/agents/\(id)/1/t1"
            for arguments in [["show-environment", "-g"], ["capture-pane", "-p", "-S", "-"], ["list-buffers"]] {
                let shown = try await runProgram("/usr/bin/tmux", ["-S", view] + arguments)
                #expect(shown.code == 0 && !shown.output.contains(secret))
            }
            _ = try await installation.client.send(RedisCommand("SAVE"))
            // All files but the store itself: state, logs, recordings, launch files, Redis' dump.
            let found = try await runProgram(
                "/bin/grep", ["-rlaF", "--devices=skip", "--exclude-dir=secrets", secret, installation.directory])
            #expect(found.output.isEmpty, "\(found.output)")
        }
    }

    @Test("a secret that is missing, or that others may read, keeps its program from running", arguments: [nil, 0o644])
    func unusable(mode: Int?) async throws {
        try await Self.withNode { installation, _ in
            if let mode { try Self.write("open", installation.directory + "/secrets/acme/token", mode: mode) }
            let job = try await installation.ended(
                try await installation.submit("secret.run", ["command": "touch ran"]))
            #expect(job.state == .discarded)
            #expect(job.reason.contains("the secret 'token' of workspace 'acme'") && job.reason.contains("0600"))
            #expect(!FileManager.default.fileExists(atPath: installation.directory + "/n1/workspaces/acme/ran"))
        }
    }
}
