import Domain
import Foundation
import Jobs
import Redis
import TestSupport
import Testing

/// Where the jobs of a workspace run: real nodes, each with files of its own, or all with the same.
@Suite("Homes of workspaces", .serialized, .enabled(if: !isRoot, "the node refuses to run as root"))
struct HomeTests {
    private static func node(
        _ installation: Installation, _ name: String, _ change: [String: String]
    ) async throws -> ManagedProcess {
        let node = installation.node(name, lease: 5, change: change)
        try await installation.start(node)
        return node
    }

    private static func output(_ installation: Installation, _ id: JobID, _ workspace: String) async throws -> String {
        try await eventually("job \(id) ends") {
            try await installation.record(id, workspace: workspace).state.isFinal
        }
        let record = try await installation.record(id, workspace: workspace)
        #expect(record.state == .completed, "\(record.reason)")
        return try await installation.result(record, workspace: workspace)["stdout"]?.string ?? ""
    }

    @Test("files of a workspace's first job are there for all its later ones, with two nodes that claim")
    func filesStay() async throws {
        try await Installation.with { installation in
            for name in ["n1", "n2"] { _ = try await Self.node(installation, name, [:]) }
            let workspaces = (0..<6).map { "w\($0)" }
            for workspace in workspaces {
                let id = try await installation.submit(
                    "shell.run", ["command": .string("echo of-\(workspace) > mark")], workspace: workspace)
                _ = try await Self.output(installation, id, workspace)
            }
            for _ in 0..<5 {
                var ids: [(String, JobID)] = []
                for workspace in workspaces {
                    ids.append(
                        (
                            workspace,
                            try await installation.submit("shell.run", ["command": "cat mark"], workspace: workspace)
                        ))
                }
                for (workspace, id) in ids {
                    #expect(try await Self.output(installation, id, workspace) == "of-\(workspace)\n")
                }
            }
            let list = try await installation.command(["workspaces", "list"])
            for workspace in workspaces { #expect(list.output.contains("\(workspace)  home n"), "\(list.output)") }
        }
    }

    private static let look = JSONValue.object([
        JSONMember("command", "if [ -e mark ]; then cat mark; else echo empty; fi")
    ])

    /// Brings a workspace to the first node, and lets that node die for good.
    private static func loseHome(
        _ installation: Installation, _ change: [String: String], after wait: () async throws -> Void = {}
    ) async throws -> ManagedProcess {
        let first = try await Self.node(installation, "n1", change)
        let id = try await installation.submit("shell.run", ["command": "echo here > mark"])
        _ = try await Self.output(installation, id, "acme")
        try await wait()
        let second = try await Self.node(installation, "n2", change)
        await first.kill9()
        try await eventually("n2 declares it dead") { await second.output.contains("rescued the jobs of a dead node") }
        return second
    }

    @Test("with move a workspace whose home is gone starts on another node without its files, and that is recorded")
    func moves() async throws {
        try await Installation.with { installation in
            let second = try await Self.loseHome(installation, [:])
            let id = try await installation.submit("shell.run", Self.look)
            #expect(try await Self.output(installation, id, "acme") == "empty\n")
            #expect(await second.output.contains("a workspace moved to this node"))
            let rows = try await installation.client.auditEntries().flatMap { $0.elements[1].elements }.filter {
                $0.bytes.first == 0x7b
            }
            .map { try JSONParser.parse(Array($0.bytes)) }.filter { $0["kind"]?.string == "workspace.moved" }
            #expect(rows.count == 1 && rows.first?["node"]?.string == "n2")
            #expect(rows.first?["workspace"]?.string == "acme")
            #expect(rows.first?["error_reason"]?.string == "its files are on node n1")
            let list = try await installation.command(["workspaces", "list"])
            #expect(list.output.contains("acme  home n2"), "\(list.output)")
        }
    }

    /// The settings of nodes that copy workspaces every second.
    private static func copying(to directory: String) -> [String: String] {
        [
            "ORCHESTRA_WORKSPACES_HOME_LOST": "copy", "ORCHESTRA_WORKSPACES_COPIES": directory,
            "ORCHESTRA_WORKSPACES_COPY_INTERVAL": "1",
        ]
    }

    @Test("with copy a workspace whose home is gone goes on with its last copy, also when it moves back")
    func copies() async throws {
        try await Installation.with { installation in
            let directory = installation.directory + "/copies"
            var change = Self.copying(to: directory)
            func note() throws -> String? {
                FileManager.default.contents(atPath: directory + "/acme/copy.json").map {
                    String(decoding: $0, as: UTF8.self)
                }
            }
            func run(_ command: String) async throws -> String {
                let id = try await installation.submit("shell.run", ["command": .string(command)])
                return try await Self.output(installation, id, "acme")
            }
            let first = try await Self.node(installation, "n1", change)
            _ = try await run("mkdir d; echo one > d/mark; chmod 750 d/mark; ln -s d/mark link; echo old > old")
            try await eventually("n1 made a copy") { try note()?.contains("n1") == true }
            // What is not copied before the node dies is lost, and said by the time of the copy.
            change["ORCHESTRA_WORKSPACES_COPY_INTERVAL"] = "3600"
            let second = try await Self.node(installation, "n2", change)
            await first.kill9()
            try await eventually("n2 declares it dead") {
                await second.output.contains("rescued the jobs of a dead node")
            }
            #expect(try await run("cat link; stat -c %a d/mark; rm old; echo two > d/mark") == "one\n750\n")
            #expect(await second.output.contains("took the last copy of a workspace's files"))
            #expect(try await run("cat d/mark; ls") == "two\nd\nlink\n")
            // A drain makes the copy that the interval did not.
            await second.signal(SIGTERM)
            _ = try await second.wait()
            #expect(try note()?.contains("n2") == true)
            let third = try await Self.node(installation, "n1", change)
            #expect(try await run("cat d/mark; ls") == "two\nd\nlink\n")
            #expect(await third.output.contains("files of a workspace from before its last copy were set aside"))
            let names = try FileManager.default.contentsOfDirectory(atPath: installation.directory + "/n1/workspaces")
            let aside = try #require(names.first { $0.hasPrefix(".replaced-acme-") })
            #expect(FileManager.default.fileExists(atPath: installation.directory + "/n1/workspaces/\(aside)/old"))
            let archives = try FileManager.default.contentsOfDirectory(atPath: directory + "/acme")
            #expect(archives.filter { $0.hasSuffix(".tar") }.count == 1, "\(archives)")
            let values = try await installation.client.auditEntries().flatMap { $0.elements[1].elements }
            var rows: [JSONValue] = []
            for value in values where value.bytes.first == 0x7b {
                let row = try JSONParser.parse(Array(value.bytes))
                if row["rule"]?.string == "workspaces.copies", row["action"]?.string == "put" { rows.append(row) }
            }
            #expect(rows.compactMap { $0["status"]?.string } == ["asked", "done", "asked", "done"])
            #expect(rows.compactMap { $0["node"]?.string } == ["n2", "n2", "n1", "n1"])
        }
    }

    @Test("a node does not begin a workspace whose last copy it cannot read, and goes on once it can")
    func unreadableCopy() async throws {
        try await Installation.with { installation in
            let directory = installation.directory + "/copies"
            let second = try await Self.loseHome(installation, Self.copying(to: directory)) {
                try await eventually("n1 made a copy") {
                    FileManager.default.fileExists(atPath: directory + "/acme/copy.json")
                }
            }
            let (note, away) = (directory + "/acme/copy.json", directory + "/acme/away.json")
            let text = try #require(FileManager.default.contents(atPath: note))
            try Data("{}".utf8).write(to: URL(filePath: note))
            let id = try await installation.submit("shell.run", Self.look)
            try await eventually("n2 says why") { await second.output.contains("a workspace waits for its last copy") }
            #expect(try await !installation.record(id, workspace: "acme").state.isFinal)
            try text.write(to: URL(filePath: away))
            try FileManager.default.removeItem(atPath: note)
            try FileManager.default.moveItem(atPath: away, toPath: note)
            #expect(try await Self.output(installation, id, "acme") == "here\n")
        }
    }

    @Test("half of the settings of copies is refused")
    func copySettings() async throws {
        try await Installation.with { installation in
            for (change, words) in [
                (["ORCHESTRA_WORKSPACES_HOME_LOST": "copy"], "expected a directory that all nodes share"),
                (["ORCHESTRA_WORKSPACES_COPIES": "/nowhere"], "expected workspaces.home-lost=copy"),
            ] {
                let node = try await installation.command(["worker"], change: change)
                #expect(node.code == 78 && node.errors.contains(words), "\(node)")
            }
        }
    }

    @Test("with wait the jobs of a home that is gone wait until a person sets another one")
    func waits() async throws {
        try await Installation.with { installation in
            _ = try await Self.loseHome(installation, ["ORCHESTRA_WORKSPACES_HOME_LOST": "wait"])
            let id = try await installation.submit("shell.run", Self.look)
            let free = try await installation.submit("shell.run", Self.look, workspace: "other")
            #expect(try await Self.output(installation, free, "other") == "empty\n")
            #expect(try await installation.record(id).state == .available)
            let list = try await installation.command(["workspaces", "list"])
            #expect(list.output.contains("acme  home n1, away since 2"), "\(list.output)")
            let wrong = try await installation.command(["workspaces", "home", "acme", "--node", "n2", "--clear"])
            #expect(wrong.code == 64)
            let set = try await installation.command(["workspaces", "home", "acme", "--node", "n2"])
            #expect(set.code == 0 && set.output.contains("its files are on 'n1'"), "\(set.output)\(set.errors)")
            #expect(try await Self.output(installation, id, "acme") == "empty\n")
            let shown = try await installation.command(["workspaces", "home", "acme"])
            #expect(shown.output == "acme  home n2\n")
            #expect(try await installation.command(["workspaces", "home", "acme", "--clear"]).code == 0)
            #expect(try await installation.command(["workspaces", "home", "acme", "--clear"]).code == 65)
        }
    }

    @Test("an agent whose workspace got another home goes on where it is, also when its node starts again")
    func goesOn() async throws {
        try await Installation.with { installation in
            let node = try await Self.node(installation, "n1", [:])
            let id = try await installation.submit(
                "agent.run",
                [
                    "agent": "shell",
                    "prompt": "echo before; until [ -e /workspace/go ]; do sleep 0.05; done; echo after",
                ])
            let log = "\(installation.directory)/n1/agents/\(id)/1/output.log"
            try await eventually("the prompt runs") {
                String(decoding: FileManager.default.contents(atPath: log) ?? Data(), as: UTF8.self)
                    .contains("before\r\n")
            }
            let set = try await installation.command(["workspaces", "home", "acme", "--node", "n2"])
            #expect(set.code == 0 && set.output.contains("1 of its jobs run now"), "\(set.output)\(set.errors)")
            await node.kill9()
            try await installation.start(node)
            _ = try await Self.node(installation, "n2", [:])
            #expect(
                FileManager.default.createFile(
                    atPath: "\(installation.directory)/n1/workspaces/acme/go", contents: nil))
            let record = try await installation.ended(id)
            #expect(record.state == .completed && record.node == "n1", "\(record.reason)")
            #expect(try await installation.result(record)["launches"]?.integer == 1)
            let next = try await installation.submit("shell.run", Self.look)
            #expect(try await Self.output(installation, next, "acme") == "empty\n")
        }
    }

    /// Two state directories on one machine with one directory of workspaces. That proves what nodes and doctor decide, and
    /// nothing about a file system between machines.
    @Test("with workspaces.shared any node runs a workspace's jobs on the same files; doctor reports when it is not so")
    func shared() async throws {
        try await Installation.with { installation in
            let change = Installation.sharing.merging(["ORCHESTRA_WORKER_SLOTS": "1"]) { $1 }
            let files = FileManager.default
            let directory = installation.directory
            try files.createDirectory(
                atPath: directory + "/files", withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
            for name in ["n1", "n2"] {
                try files.createDirectory(
                    atPath: "\(directory)/\(name)", withIntermediateDirectories: true,
                    attributes: [.posixPermissions: 0o700])
                try files.createSymbolicLink(
                    atPath: "\(directory)/\(name)/workspaces", withDestinationPath: directory + "/files")
                _ = try await Self.node(installation, name, change)
            }
            var ids: [JobID] = []
            for (own, other) in [("a", "b"), ("b", "a")] {
                ids.append(
                    try await installation.submit(
                        "shell.run",
                        ["command": .string("touch \(own); until [ -e \(other) ]; do sleep 0.05; done; echo met")]))
            }
            for id in ids { #expect(try await Self.output(installation, id, "acme") == "met\n") }
            var nodes: Set<String> = []
            for id in ids { nodes.insert(try await installation.record(id).node) }
            #expect(nodes == ["n1", "n2"])
            let fine = try await installation.command(["doctor"], change: change)
            for name in ["n1", "n2"] {
                #expect(fine.output.contains("the file and the lock of node '\(name)' are seen"), "\(fine.output)")
            }
            let apart = try await installation.command(["doctor"], node: "n3", change: change)
            #expect(apart.code == 69 && apart.output.contains("not shared with node 'n1'"), "\(apart.output)")
            let home = try await installation.command(["workspaces", "home", "acme", "--node", "n1"])
            #expect(home.code == 64 && home.errors.contains("workspaces have no homes"), "\(home.errors)")
            // A node that would keep files of its own is refused while these run.
            let other = try await installation.command(["worker"], node: "n4")
            #expect(other.code == 70 && other.errors.contains("ORCHESTRA_WORKSPACES_SHARED"), "\(other.errors)")
        }
    }
}
