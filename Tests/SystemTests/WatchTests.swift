import Agents
import Domain
import Foundation
import Jobs
import Redis
import Sandboxing
import TestSupport
import Testing

/// Real incidents, planted from outside, and what the node does about them.
@Suite("The node's watch", .serialized, .enabled(if: !isRoot, "the node refuses to run as root"))
struct WatchTests {
    private static let subordinates = TestSandbox.plan(.ownUser, directory: "/tmp").host.subordinates

    private static func withNode(
        _ response: String = "report",
        _ body: @escaping @Sendable (Installation, ManagedProcess, JobID) async throws -> Void
    ) async throws {
        try await Installation.with { installation in
            let node = ManagedProcess(
                buildDirectory + "/orchestra", ["worker"],
                environment: installation.environment(node: "n1").merging(["ORCHESTRA_WATCH_RESPONSE": response]) {
                    $1
                },
                log: installation.directory + "/n1.log")
            try await installation.start(node)
            let agent = try await installation.submit(
                "agent.run", ["agent": "shell", "prompt": "echo begun; sleep 120"])
            do {
                try await eventually("the agent runs") {
                    try await installation.command(["agents", "logs", agent.description]).output.contains("\nbegun")
                }
            } catch {
                let logs = try await installation.command(["agents", "logs", "--raw", agent.description])
                throw TestFailure("\(error); its log: \(logs.output) \(logs.errors); the node's: \(await node.output)")
            }
            try await body(installation, node, agent)
        }
    }

    /// What a person would look at to find out why a client is not reported.
    private static func terminal(_ view: String, _ installation: Installation) async throws -> String {
        let clients = try await runProgram(
            "/usr/bin/tmux", ["-S", view, "list-clients", "-F", "#{client_readonly} #{client_pid} #{session_name}"])
        let sockets = String(
            decoding: FileManager.default.contents(atPath: "/proc/net/unix") ?? Data(), as: UTF8.self)
        let own = sockets.split(separator: "\n").filter { $0.contains(view) }
        let words = try (0..<4).compactMap { attempt in
            let path = "\(installation.directory)/b\(attempt).log"
            return FileManager.default.fileExists(atPath: path)
                ? try String(contentsOfFile: path, encoding: .utf8) : nil
        }
        let processes = ProcessTable().matching(view).map { "\($0.pid) \($0.command)" }
        let status = try await installation.command(["status"])
        return "\(clients) \(own) \(words) \(processes) \(status.output)"
    }

    /// What incidents of a kind are about, each once.
    private static func subjects(_ node: ManagedProcess, _ kind: String) async -> Set<String> {
        let lines = await node.output.split(separator: "\n").filter {
            $0.contains("security incident") && $0.contains("\"incident.kind\":\"\(kind)\"")
        }
        return Set(
            lines.compactMap { line in
                line.components(separatedBy: "\"incident.subject\":\"").last?.components(separatedBy: "\"").first
            })
    }

    private static func incidents(_ node: ManagedProcess, _ kind: String) async -> Int {
        await node.output.split(separator: "\n").count {
            $0.contains("security incident") && $0.contains("\"incident.kind\":\"\(kind)\"")
        }
    }

    /// A process of a user of the agents that no shim started: the user of a slot, or the last one.
    private static func plant(
        slot: UInt32? = nil, for seconds: String, _ installation: Installation
    ) async throws -> ManagedProcess {
        let given = try #require(Self.subordinates)
        let (user, group) = (
            slot.map { given.users.lowerBound + $0 } ?? given.users.upperBound - 1,
            slot.map { given.groups.lowerBound + $0 } ?? given.groups.upperBound - 1
        )
        let planted = ManagedProcess(
            "/usr/bin/unshare",
            [
                "--user", "--map-users=\(user),1000,1", "--map-groups=\(group),1000,1", "--setgid", "1000", "--setuid",
                "1000", "/bin/sleep", seconds,
            ], log: installation.directory + "/p.log")
        try await planted.start()
        return planted
    }

    @Test("a directory that is opened to others is closed again, reported once, and in the audit trail")
    func permissions() async throws {
        try await Self.withNode { installation, node, agent in
            let path = "\(installation.directory)/n1/agents/\(agent)"
            for round in 1...2 {
                try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
                try await eventually("it is reported") { await Self.incidents(node, "permissions_changed") == round }
                let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? NSNumber
                #expect(mode?.intValue == 0o700)
            }
            #expect(await Self.incidents(node, "process_outside") == 0)
            try await eventually("the trail has them") {
                try await installation.auditText().contains("permissions_changed")
            }
        }
    }

    @Test("somebody who could type at an agent's terminal is seen; one who looks is not")
    func strangers() async throws {
        try await Self.withNode { installation, node, agent in
            let view = "\(installation.directory)/n1/agents/\(agent)/1/t1"
            // A control client is a terminal's without needing one.
            func attach(_ options: String, log: String) async throws -> ManagedProcess {
                let client = ManagedProcess(
                    "/bin/sh", ["-c", "sleep 31 | tmux -S \(view) -C attach-session \(options) -t agent"],
                    log: "\(installation.directory)/\(log).log")
                try await client.start()
                return client
            }
            let looking = try await attach("-r", log: "a")
            try await eventually("it looks") {
                try await runProgram("/usr/bin/tmux", ["-S", view, "list-clients"]).output.contains("agent")
            }
            // On a busy machine one that comes may be gone again before it is looked at.
            var typing: [ManagedProcess] = []
            for attempt in 0..<4 where await Self.subjects(node, "stranger_at_terminal").isEmpty {
                typing.append(try await attach("", log: "b\(attempt)"))
                let deadline = ContinuousClock.now + .seconds(15)
                while ContinuousClock.now < deadline, await Self.subjects(node, "stranger_at_terminal").isEmpty {
                    try await ContinuousClock().sleep(for: .milliseconds(50))
                }
                if await Self.subjects(node, "stranger_at_terminal").isEmpty {
                    print("the client was not reported: \(try await Self.terminal(view, installation))")
                }
            }
            let subjects = await Self.subjects(node, "stranger_at_terminal")
            let clients = try await runProgram("/usr/bin/tmux", ["-S", view, "list-clients"])
            let log = await node.output.suffix(1500)
            #expect(
                (1...typing.count).contains(subjects.count),
                "\(subjects); clients: \(clients); \(log)")
            for client in typing + [looking] {
                // Its input ends, and so does the client.
                let shell = await client.processID
                for process in ProcessTable().children(of: shell) where process.command.hasPrefix("sleep") {
                    kill(process.pid, SIGTERM)
                }
                _ = try await client.wait()
            }
            // A client that only looks is never reported.
            #expect(await Self.subjects(node, "stranger_at_terminal").count <= typing.count)
        }
    }

    @Test(
        "a process of an agents' user outside is seen, and its workspace gets nothing done until it is released",
        .enabled(if: Self.subordinates != nil, "needs users to give away (/etc/subuid)"))
    func outside() async throws {
        try await Self.withNode("quarantine") { installation, node, agent in
            // The user of this workspace, as the node chose it; a process of it that no shim started.
            let line = try #require(
                try String(contentsOfFile: installation.directory + "/n1/users", encoding: .utf8).split(separator: "\n")
                    .first { $0.hasSuffix("/acme") })
            let slot = try #require(UInt32(line.prefix { $0 != "\t" }))
            let planted = try await Self.plant(slot: slot, for: "60", installation)
            try await eventually("it is reported: \(await planted.output)") {
                await Self.incidents(node, "process_outside") == 1
            }
            await planted.kill9()
            let record = try await installation.ended(agent)
            #expect(record.state == .cancelled)
            let refused = try await installation.command(
                ["submit", "shell.run", "--param", "command=true"], change: ["ORCHESTRA_WORKSPACE": "acme"])
            #expect(refused.code == 77 && refused.errors.contains("in quarantine"), "\(refused)")
            let list = try await installation.command(["workspaces", "list"])
            #expect(list.output.contains("acme  in quarantine: process"))
            #expect(try await installation.command(["workspaces", "release", "acme"]).code == 0)
            #expect(try await installation.command(["workspaces", "release", "acme"]).code == 65)
            let again = try await installation.submit("shell.run", ["command": "true"])
            #expect(try await installation.ended(again).state == .completed)
            let trail = try await installation.auditText()
            for kind in ["security.incident", "workspace.quarantined", "workspace.released", #""rule":"quarantine""#] {
                #expect(trail.contains(kind), "\(kind)")
            }
        }
    }

    @Test(
        "a process of an agents' user that lives for less than a second is seen, where the kernel reports processes",
        .enabled(if: Self.subordinates != nil, "needs users to give away (/etc/subuid)"),
        .enabled(if: Self.reportsChanges, "the kernel reports no processes to this user (Linux 6.6, no container)"))
    func brief() async throws {
        try await Self.withNode { installation, node, _ in
            // A busy machine may look too late at one of them.
            for _ in 0..<10 where await Self.subjects(node, "process_outside").isEmpty {
                _ = try await Self.plant(for: "0.9", installation).wait()
            }
            #expect(await Self.subjects(node, "process_outside").contains { $0.contains("(sleep,") })
            // What the node itself starts meanwhile, and what ends with its shim, is no incident.
            for _ in 0..<10 {
                let job = try await installation.submit("shell.run", ["command": "true"])
                #expect(try await installation.ended(job).state == .completed)
            }
            let subjects = await Self.subjects(node, "process_outside")
            #expect(subjects.allSatisfy { $0.contains("(sleep,") || $0.contains("(unshare,") }, "\(subjects)")
        }
    }

    private static let reportsChanges: Bool = {
        do {
            _ = try UserChanges(of: 0..<1)
            return true
        } catch { return false }
    }()

    @Test(
        "an agent whose directory was opened stands still, or is ended, where that is the answer",
        arguments: ["freeze", "kill"])
    func responses(_ response: String) async throws {
        try await Self.withNode(response) { installation, node, agent in
            let directory = "\(installation.directory)/n1/agents/\(agent)"
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: directory)
            try await eventually("it is reported") { await Self.incidents(node, "permissions_changed") == 1 }
            if response == "kill" {
                let record = try await installation.ended(agent)
                #expect(record.state == .cancelled && record.reason == "cancelled: security", "\(record.reason)")
            } else {
                try await eventually("it stands still") { await node.output.contains("an agent was frozen") }
                let acme = ["ORCHESTRA_WORKSPACE": "acme"]
                let sent = try await installation.command(
                    ["agents", "send", agent.description, "echo x", "--until", "consumed", "--timeout", "1"],
                    change: acme)
                #expect(sent.code == 1, "\(sent)")
                #expect(try await installation.command(["agents", "thaw", agent.description], change: acme).code == 0)
                #expect(try await installation.record(agent).state == .running)
            }
            let trail = try await installation.auditText()
            #expect(trail.contains("security.incident"))
            let mode = try FileManager.default.attributesOfItem(atPath: directory)[.posixPermissions] as? Int
            #expect(mode == 0o700)
        }
    }

    @Test("what is kept of an agent goes when it ended longer ago than is kept; one that lives stays")
    func retention() async throws {
        try await Self.withNode { installation, node, agent in
            let ended = try await installation.submit("agent.run", ["agent": "shell", "prompt": "true"])
            #expect(try await installation.ended(ended).state == .completed)
            let agents = "\(installation.directory)/n1/agents/"
            #expect(FileManager.default.fileExists(atPath: agents + ended.description))
            await node.kill9()
            try await ContinuousClock().sleep(for: .seconds(2))
            let next = ManagedProcess(
                buildDirectory + "/orchestra", ["worker"],
                environment: installation.environment(node: "n1").merging(["ORCHESTRA_AGENTS_RETENTION": "1"]) { $1 },
                log: installation.directory + "/n1b.log")
            try await installation.start(next)
            try await eventually("it is gone") {
                !FileManager.default.fileExists(atPath: agents + ended.description)
            }
            #expect(FileManager.default.fileExists(atPath: agents + agent.description))
            #expect(try await installation.record(agent).state == .running)
        }
    }

    @Test("work as usual raises no alarm")
    func quiet() async throws {
        try await Self.withNode("quarantine") { installation, node, agent in
            for _ in 0..<5 {
                let job = try await installation.submit(
                    "shell.run", ["command": "setsid sleep 1 & (sleep 1 &) ; sleep 0.4"])
                #expect(try await installation.ended(job).state == .completed)
            }
            _ = try await installation.command(
                ["agents", "stop", agent.description], change: ["ORCHESTRA_WORKSPACE": "acme"])
            for kind in ["process_outside", "stranger_at_terminal", "permissions_changed"] {
                #expect(await Self.incidents(node, kind) == 0, "\(kind)")
            }
        }
    }
}

extension Installation {
    /// The whole audit trail as text.
    func auditText() async throws -> String {
        let entries = try await self.client.auditEntries()
        return entries.flatMap { $0.elements[1].elements }.map { String(decoding: $0.bytes, as: UTF8.self) }
            .joined(separator: "\n")
    }
}
