import Domain
import Foundation
import Jobs
import TestSupport
import Testing

/// Directories and work trees of agents, on a real node with real git, in workspaces that set traps.
@Suite("Agents' working directories", .serialized, .enabled(if: !isRoot, "the node refuses to run as root"))
struct WorkingDirectoryTests {
    private struct Site: Sendable {
        let installation: Installation
        let work: String

        /// Runs a script as an action of the workspace; its output.
        func shell(_ script: String) async throws -> String {
            let job = try await self.installation.submit("shell.run", ["command": .string(script)])
            let record = try await self.installation.ended(job)
            let result = try await self.installation.result(record)
            guard record.state == .completed else { throw TestFailure("\(script): \(result.text)") }
            return result["stdout"]?.string ?? ""
        }

        /// Runs an agent of this definition to its end; its id, state, and what became of its directory.
        func agent(_ name: String) async throws -> (id: JobID, state: JobState, directory: String) {
            let job = try await self.installation.submit("agent.run", ["agent": .string(name), "prompt": "go"])
            let record = try await self.installation.ended(job)
            let cleanupResult = try await self.installation.result(record)["directory_state"]?.string ?? ""
            return (job, record.state, cleanupResult)
        }

        func path(_ agent: JobID, _ rest: String = "") -> String { "\(self.work)/agents/\(agent)\(rest)" }

        func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }
    }

    /// A node with agents that run these scripts where the definition says.
    private static func with(
        _ agents: [(name: String, directory: String, script: String)], attempts: Int = 1,
        _ body: @escaping @Sendable (Site) async throws -> Void
    ) async throws {
        try await Installation.with { installation in
            let policies = installation.directory + "/p"
            try FileManager.default.copyItem(atPath: packageRoot + "/Policies", toPath: policies)
            let action = policies + "/actions/agent.run.json"
            let changed = try String(contentsOfFile: action, encoding: .utf8)
                .replacing(#""max_attempts": 1"#, with: #""max_attempts": \#(attempts)"#)
            try Data(changed.utf8).write(to: URL(filePath: action))
            for agent in agents {
                let definition: JSONValue = [
                    "name": .string(agent.name), "summary": "x",
                    "argv": ["/bin/bash", "-c", .string("exec </dev/null; echo begun; \(agent.script)")],
                    "environment": [:],
                ]
                let restarts = agent.directory.contains("restart_intensity") ? "" : #", "restart_intensity": 0"#
                let text = String(definition.text.dropLast()) + restarts + ", \(agent.directory)}"
                try Data(text.utf8).write(to: URL(filePath: "\(policies)/agents/\(agent.name).json"))
            }
            var environment = installation.environment(node: "n1")
            environment["ORCHESTRA_POLICIES_DIRECTORY"] = policies
            let node = ManagedProcess(
                buildDirectory + "/orchestra", ["worker"], environment: environment,
                log: installation.directory + "/n1.log")
            try await installation.start(node)
            try await body(Site(installation: installation, work: installation.directory + "/n1/workspaces/acme"))
            await node.signal(SIGTERM)
            #expect(try await node.wait().code == 0)
        }
    }

    private static let identity = "-c user.name=x -c user.email=x@localhost"

    @Test("a directory of its own is where an agent starts, and goes when it holds nothing")
    func own() async throws {
        try await Self.with([
            ("tidy", #""directory": "own""#, "pwd >../../place; true"),
            ("untidy", #""directory": "own""#, "echo work >file"),
            ("failing", #""directory": "own""#, "exit 3"),
        ]) { site in
            let tidy = try await site.agent("tidy")
            #expect(tidy.state == .completed && tidy.directory == "removed: it was empty", "\(tidy)")
            #expect(!site.exists(site.path(tidy.id)))
            #expect(
                try String(contentsOfFile: site.work + "/place", encoding: .utf8) == "/workspace/agents/\(tidy.id)\n")
            let untidy = try await site.agent("untidy")
            #expect(untidy.directory == "kept: it holds files")
            #expect(try String(contentsOfFile: site.path(untidy.id, "/file"), encoding: .utf8) == "work\n")
            // Also after a failure; nobody else's is touched.
            let failing = try await site.agent("failing")
            #expect(failing.state != .completed && !site.exists(site.path(failing.id)))
            #expect(site.exists(site.path(untidy.id, "/file")))
        }
    }

    @Test("a work tree holds what its agent did as a commit before it goes, and stays when it holds anything else")
    func worktree() async throws {
        let worktree = #""directory": "worktree", "repository": "repo""#
        let commit = "git \(Self.identity) commit -qm done"
        try await Self.with([
            ("clean", worktree, "echo work >file; git add file; \(commit)"),
            ("dirty", worktree, "echo new >untracked; echo changed >base"),
            ("ignoring", worktree, "echo secret >kept.log"),
            ("idle", worktree, "true"),
        ]) { site in
            _ = try await site.shell(
                """
                set -e; mkdir repo; cd repo; git init -q; echo base >base; echo '*.log' >.gitignore; git add .
                git \(Self.identity) commit -qm first
                """)
            // Traps for a process that runs git here: hooks, a monitor, an external diff, a filter.
            _ = try await site.shell(
                """
                set -e; cd repo; printf '#!/bin/sh\\ntouch /workspace/trapped\\n' >/workspace/trap; chmod 755 /workspace/trap
                for hook in post-checkout pre-commit post-commit reference-transaction post-index-change; do
                    cp /workspace/trap .git/hooks/$hook
                done
                git config core.fsmonitor /workspace/trap; git config core.hooksPath /workspace/repo/.git/hooks
                """)
            let clean = try await site.agent("clean")
            #expect(clean.directory.hasPrefix("removed: its commits are saved"), "\(clean)")
            #expect(!site.exists(site.path(clean.id)))
            func show(_ agent: JobID, _ file: String) async throws -> String {
                try await site.shell(
                    "cd repo && git -c core.fsmonitor=false show refs/orchestra/agents/\(agent):\(file)")
            }
            #expect(try await show(clean.id, "file") == "work\n")
            _ = try await site.shell("rm -f trapped")
            let dirty = try await site.agent("dirty")
            #expect(dirty.directory.hasPrefix("kept: it holds changes"), "\(dirty)")
            #expect(try await show(dirty.id, "untracked") == "new\n")
            #expect(try await show(dirty.id, "base") == "changed\n")
            #expect(try String(contentsOfFile: site.path(dirty.id, "/base"), encoding: .utf8) == "changed\n")
            // What git ignores may be somebody's all the same.
            let ignoring = try await site.agent("ignoring")
            #expect(ignoring.directory.hasPrefix("kept: it holds changes"), "\(ignoring)")
            #expect(site.exists(site.path(ignoring.id, "/kept.log")))
            let idle = try await site.agent("idle")
            #expect(idle.directory.hasPrefix("removed"), "\(idle)")
            #expect(!site.exists(site.work + "/trapped"), "a trap was sprung by the clean-up")
        }
    }

    @Test("what one attempt saved the next goes on with, and git that is made to hang holds up nothing indefinitely")
    func again() async throws {
        let worktree = #""directory": "worktree", "repository": "repo""#
        let marker = "sleep 598.\(Int.random(in: 1000...9999))"
        try await Self.with(
            [
                // Its first launch commits and fails; the second finds that.
                (
                    "twice", worktree + #", "restart_intensity": 0"#,
                    "[ -e first ] && exit 0; echo 1 >first; git add first; git \(Self.identity) commit -qm one; exit 1"
                ),
                ("lost", worktree, "rm -rf ../$(basename $PWD); exit 0"),
                (
                    "hanging", worktree,
                    "git config filter.slow.clean '\(marker)'; echo '* filter=slow' >.gitattributes; echo x >base"
                ),
            ], attempts: 2
        ) { site in
            _ = try await site.shell(
                "set -e; mkdir repo; cd repo; git init -q; echo base >base; git add .; git \(Self.identity) commit -qm first"
            )
            let twice = try await site.agent("twice")
            #expect(twice.state == .completed && twice.directory.hasPrefix("removed"), "\(twice)")
            let lost = try await site.agent("lost")
            #expect(lost.state == .completed && lost.directory == "gone", "\(lost)")
            let hanging = try await site.agent("hanging")
            #expect(hanging.state == .completed && hanging.directory.hasPrefix("kept"), "\(hanging)")
            #expect(ProcessTable().matching(marker).isEmpty)
        }
    }

    @Test("a work tree that cannot be made is that agent's failure, with git's words")
    func noRepository() async throws {
        try await Self.with([("lost", #""directory": "worktree", "repository": "nowhere""#, "true")]) { site in
            let lost = try await site.installation.submit("agent.run", ["agent": "lost", "prompt": "x"])
            let record = try await site.installation.ended(lost)
            #expect(record.state == .discarded && record.reason.contains("working directory could not be made"))
            #expect(!site.exists(site.path(lost)))
        }
    }
}
