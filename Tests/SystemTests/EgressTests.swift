import Domain
import Foundation
import Jobs
import TestSupport
import Testing

/// Real sandboxes with a way out: the listener, the shim, the egress server, the audit trail.
@Suite("Egress", .serialized, .enabled(if: !isRoot, "sandboxes are tried as an ordinary user"))
struct EgressTests {
    /// The shipped policies with a profile that reaches one name, and an action in it.
    private static func policies(in directory: String) throws -> String {
        let policies = directory + "/policies"
        try FileManager.default.copyItem(atPath: packageRoot + "/Policies", toPath: policies)
        try FileManager.default.createDirectory(atPath: policies + "/egress", withIntermediateDirectories: true)
        let files = [
            "egress/test.json": #"""
            {"name": "test", "summary": "One name.",
             "entries": [{"id": "plain", "host": "plain.example.test", "door": "http", "methods": ["GET"]}]}
            """#,
            "sandbox/web.json": #"{"name": "web", "summary": "Reaches one name.", "egress": ["test"]}"#,
            "actions/web.run.json": #"""
            {"name": "web.run", "summary": "Runs a shell command with egress.", "effect": "external",
             "sandbox": "web", "timeout_seconds": 120,
             "params": {"type": "object", "required": ["command"], "additionalProperties": false,
              "properties": {"command": {"type": "string"}}},
             "handler": {"kind": "command", "argv": ["/bin/bash", "-c", "script=$(cat); eval \"$script\""], "input_param": "command"}}
            """#,
        ]
        for (name, text) in files { try Data(text.utf8).write(to: URL(fileURLWithPath: "\(policies)/\(name)")) }
        return policies
    }

    /// A web server on the host's loopback; its port.
    private static func upstream(in installation: Installation) async throws -> Int {
        let root = installation.directory + "/www"
        try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
        try Data("from outside".utf8).write(to: URL(fileURLWithPath: root + "/page"))
        let log = installation.directory + "/upstream.log"
        let server = ManagedProcess(
            "/usr/bin/python3", ["-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", root],
            environment: ["PATH": "/usr/bin:/bin"], log: log)
        try await installation.startClient(server)
        var port: Int?
        try await eventually("the upstream listens") {
            port = await server.output.firstMatch(of: #/port (\d+)/#).flatMap { Int($0.output.1) }
            return port != nil
        }
        return try #require(port)
    }

    /// Rows of the audit trail about connections.
    private static func rows(_ installation: Installation) async throws -> [JSONValue] {
        let page = try await installation.queue.auditTrail(of: try WorkspaceID("acme"), before: nil, limit: 100)
        return try page.events.map { try JSONParser.parse($0) }.filter { $0["kind"] == "egress.request" }
    }

    @Test(
        "a job reaches what its profile lists and nothing else, every decision is audited, and a killed server is replaced",
        .enabled(if: isInstalled("python3") && isInstalled("curl"), "needs python3 and curl"))
    func job() async throws {
        try await Installation.with { installation in
            let port = try await Self.upstream(in: installation)
            let policies = try Self.policies(in: installation.directory)
            let node = ManagedProcess(
                buildDirectory + "/orchestra", ["worker"],
                environment: installation.environment(node: "n1").merging([
                    "ORCHESTRA_POLICIES_DIRECTORY": policies, "ALLOW_ACTIONS_DEFAULT": "web.run,shell.run",
                    "ORCHESTRA_EGRESS_OVERRIDES": "plain.example.test=127.0.0.1:\(port)",
                ]) { $1 }, log: installation.directory + "/n1.log")
            try await installation.start(node)
            // The program waits in the middle, while the server is killed.
            let script = """
                curl -sS http://plain.example.test/page; echo
                curl -sS -o /dev/null -w 'other %{http_code}\\n' http://other.example.test/
                curl -sS -o /dev/null -w 'tunnel %{http_connect}\\n' https://other.example.test/ 2>/dev/null
                curl -sS --noproxy '*' -m 2 http://127.0.0.1:\(port)/page >/dev/null 2>&1 || echo no route
                touch first; until [ -e go ]; do sleep 0.05; done
                curl -sS --retry 5 --retry-all-errors http://plain.example.test/page; echo
                """
            let id = try await installation.submit("web.run", ["command": .string(script)])
            let workspace = installation.directory + "/n1/workspaces/acme"
            try await eventually("the first half is done") {
                FileManager.default.fileExists(atPath: workspace + "/first")
            }
            let parent = await node.processID
            func servers() -> [Int32] {
                ProcessTable().children(of: parent).filter { $0.command.contains("egress-server") }.map(\.pid)
            }
            let old = try #require(servers().first)
            #expect(kill(old, SIGKILL) == 0)
            try await eventually("the server is replaced") { servers().first.map { $0 != old } ?? false }
            try Data().write(to: URL(fileURLWithPath: workspace + "/go"))
            let record = try await installation.ended(id)
            let result = try await installation.result(record)
            #expect(record.state == .completed, "\(result.text)")
            #expect(
                result["stdout"]?.string
                    == "from outside\nother 403\ntunnel 403\nno route\nfrom outside\n", "\(result.text)")
            let rows = try await Self.rows(installation)
            #expect(rows.allSatisfy { $0["job_id"]?.string == id.description })
            #expect(
                rows.filter { $0["status"] == "allowed" && $0["rule"] == "plain" }.count == 2, "\(rows.map(\.text))")
            let denied = rows.filter { $0["status"] == "denied" }
            #expect(denied.count == 2 && denied.allSatisfy { $0["error_reason"] == "host_not_allowed" })
            #expect(denied.allSatisfy { $0["connection"]?["host"] == "other.example.test" })
            // A profile without egress is as before.
            let closed = try await installation.ended(
                try await installation.submit("shell.run", ["command": "env | grep -ci proxy; true"]))
            #expect(try await installation.result(closed)["stdout"] == "0\n")
        }
    }

    @Test(
        "a program by hand has its way out without a node, with and without Redis, and each request is recorded",
        .enabled(if: isInstalled("python3") && isInstalled("curl"), "needs python3 and curl"),
        arguments: [true, false])
    func exec(_ hasRedis: Bool) async throws {
        try await Installation.with { installation in
            let port = try await Self.upstream(in: installation)
            var change = ["ORCHESTRA_POLICIES_DIRECTORY": try Self.policies(in: installation.directory)]
            change["ORCHESTRA_WORKSPACE"] = "acme"
            if !hasRedis { change["REDIS_URL"] = "unix://\(installation.directory)/nowhere.sock" }
            let result = try await installation.command(
                [
                    "sandbox", "exec", "--profile", "web", "--workspace", installation.directory, "--egress-resolve",
                    "plain.example.test=127.0.0.1:\(port)", "--", "/bin/bash", "-c",
                    """
                    curl -sS http://plain.example.test/page; echo
                    curl -sS -o /dev/null -w 'other %{http_code}\n' http://other.example.test/
                    """,
                ], change: change)
            #expect(result.code == 0 && result.output == "from outside\nother 403\n", "\(result)")
            let statuses: [String]
            if hasRedis {
                statuses = try await Self.rows(installation).reversed().compactMap { $0["status"]?.string }
            } else {
                let file = installation.directory + "/n1/egress.jsonl"
                let events = try #require(FileManager.default.contents(atPath: file))
                statuses = try events.split(separator: UInt8(ascii: "\n")).map { try JSONParser.parse(Array($0)) }
                    .compactMap { event in
                        event["phase"] == "ended" ? "ended" : event["decision"] == "allow" ? "allowed" : "denied"
                    }
            }
            #expect(statuses == ["allowed", "ended", "denied"])
            // The server of the program ends with it.
            try await eventually("the server is gone") {
                ProcessTable().matching("serve-egress").filter { $0.command.contains(installation.directory) }.isEmpty
            }
            let refused = try await installation.command(
                [
                    "sandbox", "exec", "--profile", "web", "--workspace", installation.directory, "--egress-resolve",
                    "plain.example.test=127.0.0.1", "--", "/bin/true",
                ], change: change.merging(["ENV": "production"]) { $1 })
            #expect(refused.code == 78, "\(refused)")
        }
    }

    @Test("what an entry decides can be asked")
    func explain() async throws {
        try await Installation.with { installation in
            let policies = try Self.policies(in: installation.directory)
            let explained = try await installation.command(
                ["policy", "explain", "egress", "web", "http://plain.example.test/x"],
                change: ["ORCHESTRA_POLICIES_DIRECTORY": policies])
            #expect(explained.code == 0 && explained.output.contains("allowed by plain"), "\(explained)")
            let denied = try await installation.command(
                ["policy", "explain", "egress", "web", "https://plain.example.test/x"],
                change: ["ORCHESTRA_POLICIES_DIRECTORY": policies])
            #expect(denied.code == 77 && denied.output.contains("door_not_allowed"), "\(denied)")
        }
    }
}
