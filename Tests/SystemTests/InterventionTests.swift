import Domain
import Foundation
import Jobs
import Redis
import TestSupport
import Testing

@Suite("What people do to jobs", .serialized, .enabled(if: !isRoot, "the node refuses to run as root"))
struct InterventionTests {
    private static func withNodes(
        _ names: [String], change: [String: String] = [:],
        _ body: @escaping @Sendable (Installation) async throws -> Void
    ) async throws {
        try await Installation.with { installation in
            for name in names {
                let node = ManagedProcess(
                    buildDirectory + "/orchestra", ["worker"],
                    environment: installation.environment(node: name).merging(change) { $1 },
                    log: "\(installation.directory)/\(name).log")
                try await installation.start(node)
            }
            try await body(installation)
        }
    }

    private static func command(
        _ installation: Installation, _ arguments: [String]
    ) async throws -> (code: Int32, output: String, errors: String) {
        try await installation.command(arguments, change: ["ORCHESTRA_WORKSPACE": "acme"])
    }

    private static func fields(_ text: String) -> [String] {
        text.split(whereSeparator: \.isWhitespace).map(String.init)
    }

    @Test("a running command and a running agent are cancelled from elsewhere, with their trees, one outcome each")
    func cancelRunning() async throws {
        try await Self.withNodes(["n1", "n2"]) { installation in
            let marker = "sleep 6\(Int.random(in: 1000...9999))"
            let command = try await installation.submit(
                "shell.run", ["command": .string("echo said-before; \(marker) & \(marker)")])
            let agent = try await installation.submit("agent.run", ["agent": "shell", "prompt": .string(marker)])
            try await eventually("both run") { ProcessTable().matching(marker).count >= 3 }
            for id in [command, agent] {
                let answer = try await Self.command(installation, ["jobs", "cancel", id.description, "--wait"])
                #expect(answer.code == 0, "\(answer.errors)")
                let record = try await installation.record(id)
                #expect(record.state == .cancelled && record.reason == "cancelled: user")
                #expect(record.failures == 0)
                let result = try await installation.result(record)
                #expect((id == command ? result["stdout"]?.string : result["terminal"]?.string)?.isEmpty == false)
            }
            #expect(ProcessTable().matching(marker).isEmpty)
            #expect(
                try await installation.auditCounts("job.outcome") == [command.description: 1, agent.description: 1])
            #expect(try await installation.auditCounts("job.cancel") == [command.description: 1, agent.description: 1])
            // A second time there is nothing left to do.
            let again = try await Self.command(installation, ["jobs", "cancel", command.description])
            #expect(again.output.contains("had ended before: cancelled"))
        }
    }

    @Test("a queued job is cancelled at once and never runs; the queue moves on")
    func cancelQueued() async throws {
        try await Self.withNodes(["n1"], change: ["ORCHESTRA_WORKER_SLOTS": "1"]) { installation in
            let blocker = "until [ -e go ]; do sleep 0.05; done"
            let first = try await installation.submit("shell.run", ["command": .string(blocker)])
            try await eventually("it runs") { try await installation.record(first).state == .running }
            let mark = installation.directory + "/ran"
            let queued = try await installation.submit("shell.run", ["command": .string("touch \(mark)")])
            let last = try await installation.submit("queue.noop", [:])
            let answer = try await Self.command(installation, ["jobs", "cancel", queued.description])
            #expect(answer.output.contains("is cancelled"))
            #expect(try await installation.record(queued).state == .cancelled)
            try Data().write(to: URL(filePath: installation.directory + "/n1/workspaces/acme/go"))
            #expect(try await installation.ended(last).state == .completed)
            #expect(try await installation.record(queued).state == .cancelled)
            #expect(try await installation.auditCounts("job.outcome")[queued.description] == 1)
            #expect(try await installation.client.send(RedisCommand("EXISTS", "orc:{l0}:cancel")).integer == 0)
        }
    }

    @Test("a cancellation that the node could not receive before it died ends the job when it is taken over")
    func cancelBeforeDeath() async throws {
        try await Installation.with { installation in
            let node = installation.node("n1")
            try await installation.start(node)
            let id = try await installation.submit("shell.run", ["command": "sleep 300"])
            try await eventually("it runs") { try await installation.record(id).state == .running }
            await node.signal(SIGSTOP)
            let answer = try await Self.command(installation, ["jobs", "cancel", id.description])
            #expect(answer.output.contains("by its node"))
            await node.signal(SIGKILL)
            let second = installation.node("n2")
            try await installation.start(second)
            let record = try await installation.ended(id)
            #expect(record.state == .cancelled)
            #expect(try await installation.auditCounts("job.outcome") == [id.description: 1])
        }
    }

    @Test("a dead letter is listed, shown, put back in line and dropped, each audited")
    func deadLetters() async throws {
        try await Self.withNodes(["n1"]) { installation in
            let gate = "/workspace/open"
            let id = try await installation.submit(
                "shell.run", ["command": .string("echo said; test -e \(gate) || exit 3")])
            #expect(try await installation.ended(id).state == .discarded)
            let list = try await Self.command(installation, ["dead", "list"])
            #expect(Self.fields(list.output).first == id.description)
            let shown = try await Self.command(installation, ["dead", "show", id.description])
            #expect(shown.output.contains("said") && shown.output.contains("the command failed"))
            let json = try await Self.command(installation, ["dead", "show", id.description, "--json"])
            let letter = try JSONParser.parse(Array(json.output.utf8))
            #expect(letter["job_id"]?.string == id.description && letter["result"]?["stdout"]?.string == "said\n")
            let workspace = installation.directory + "/n1/workspaces/acme/open"
            try Data().write(to: URL(filePath: workspace))
            #expect(try await Self.command(installation, ["dead", "requeue", id.description]).code == 0)
            #expect(try await installation.ended(id).state == .completed)
            #expect(try await Self.command(installation, ["dead", "list"]).output.contains("no dead letters"))
            #expect(try await Self.command(installation, ["dead", "requeue", id.description]).code == 65)
            let other = try await installation.submit("shell.run", ["command": "exit 4"])
            #expect(try await installation.ended(other).state == .discarded)
            #expect(try await Self.command(installation, ["dead", "drop", other.description]).code == 0)
            #expect(try await Self.command(installation, ["dead", "list"]).output.contains("no dead letters"))
            #expect(try await installation.auditCounts("job.requeued") == [id.description: 1])
            #expect(try await installation.auditCounts("job.dropped") == [other.description: 1])
        }
    }

    @Test("urgent jobs overtake, later ones wait for their time, and none runs past its deadline")
    func times() async throws {
        try await Self.withNodes(["n1"], change: ["ORCHESTRA_WORKER_SLOTS": "1"]) { installation in
            func submit(_ arguments: [String]) async throws -> JobID {
                let answer = try await Self.command(installation, ["submit"] + arguments + ["--json-output"])
                #expect(answer.code == 0, "\(answer.errors)")
                return try JobID(try JSONParser.parse(Array(answer.output.utf8))["job_id"]?.string ?? "")
            }
            // Until all others are in line, however long that takes.
            let blocker = try await submit(["shell.run", "--param", "command=until [ -e go ]; do sleep 0.05; done"])
            try await eventually("it runs") { try await installation.record(blocker).state == .running }
            let low = try await submit(["queue.noop", "--priority", "low"])
            let normal = try await submit(["queue.noop"])
            let high = try await submit(["queue.noop", "--priority", "high"])
            let late = try await submit(["queue.noop", "--delay", "3"])
            #expect(try await installation.record(late).state == .scheduled)
            let past = try await Self.command(
                installation, ["submit", "queue.noop", "--deadline", "2001-01-01T00:00:00Z"])
            #expect(past.code == 64 && past.errors.contains("has already passed"), "\(past.errors)")
            let soon = Date(timeIntervalSinceNow: 2)
            let dead = try await submit([
                "queue.noop", "--deadline", soon.formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true)),
            ])
            let cut = try await submit([
                "shell.run", "--param", "command=sleep 60", "--deadline",
                Date(timeIntervalSinceNow: 8).formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true)),
            ])
            try await eventually("its deadline has passed") { Date() > soon }
            try Data().write(to: URL(filePath: installation.directory + "/n1/workspaces/acme/go"))
            var started: [JobID: UInt64] = [:]
            for id in [blocker, high, normal, low, late] {
                let record = try await installation.ended(id)
                #expect(record.state == .completed)
                started[id] = record.startedAt
            }
            #expect(try #require(started[high]) <= #require(started[normal]))
            #expect(try #require(started[normal]) <= #require(started[low]))
            #expect(try await installation.record(late).startedAt >= installation.record(late).submittedAt + 3000)
            let refused = try await installation.ended(dead)
            #expect(refused.state == .discarded && refused.reason.contains("deadline"))
            #expect(try await installation.ended(cut).reason == "the time limit was reached")
        }
    }

    @Test("a command says how far it is, and knows its request id; a flood of such lines costs nobody anything")
    func progress() async throws {
        try await Installation.with { installation in
            let node = installation.node("n1")
            try await installation.start(node)
            let script = """
                echo '40 half way' >&4
                until [ -e go ]; do sleep 0.05; done
                for i in $(seq 20000); do echo "$((i % 100)) step $i" >&4; done
                echo nonsense >&4; echo '101 too far' >&4
                echo "$ORCHESTRA_REQUEST_ID $ORCHESTRA_JOB_ID"
                """
            let id = try await installation.submit("shell.run", ["command": .string(script)])
            try await eventually("its progress is shown") {
                try await installation.record(id).progress?.percent == 40
            }
            let shown = try await installation.command(
                ["jobs", "show", id.description], change: ["ORCHESTRA_WORKSPACE": "acme"])
            #expect(shown.output.contains("40 % half way"))
            try Data().write(to: URL(filePath: installation.directory + "/n1/workspaces/acme/go"))
            let record = try await installation.ended(id)
            #expect(record.state == .completed && record.progress == nil)
            let output = try await installation.result(record)["stdout"]?.string ?? ""
            let words = output.split(whereSeparator: \.isWhitespace)
            #expect(words.count == 2 && words.last == "\(id)" && words.first?.count == 36)
            await node.signal(SIGTERM)
            #expect(try await node.wait().code == 0)
        }
    }
}
