import Domain
import Foundation
import Jobs
import Redis
import TestSupport
import Testing

@Suite("Nodes that are killed", .serialized, .enabled(if: !isRoot, "the node refuses to run as root"))
struct ChaosTests {
    @Test(
        "1,000 jobs on two nodes that are killed at random moments: each ends once, completed, none lost, none twice",
        arguments: [Installation.sharing, [:]])
    func thousandJobs(change: [String: String]) async throws {
        try await Installation.with { installation in
            var random = SystemRandomNumberGenerator()
            let nodes = ["n1", "n2"].map { installation.node($0, change: change) }
            for node in nodes { try await installation.start(node) }
            var ids: [JobID] = []
            for number in 0..<1000 {
                switch number % 50 {
                case 0:
                    ids.append(
                        try await installation.submit(
                            "agent.run", ["agent": "shell", "prompt": .string("echo agent \(number)")],
                            isRepeatable: true))
                case 1..<25:
                    ids.append(
                        try await installation.submit(
                            "shell.run", ["command": .string("echo \(number)")], isRepeatable: true))
                default:
                    ids.append(
                        try await installation.submit("queue.noop", ["note": .string("\(number)")], workspace: "acme"))
                }
            }
            var done = 0
            var threshold = 50
            try await eventually(within: .seconds(600), "all jobs have an outcome") {
                done = try await installation.auditCounts("job.outcome").count
                // A third death would make a dead letter of a job, as it should.
                let tries = try await installation.client.send(RedisCommand("HVALS", "orc:{l0}:tries")).elements
                let isFragile = tries.contains { $0.string?.hasSuffix(":2") == true }
                if done >= threshold, done < ids.count, !isFragile {
                    threshold = done + Int.random(in: 40...160, using: &random)
                    let victim = Int.random(in: 0...1, using: &random)
                    await nodes[victim].kill9()
                    try await installation.start(nodes[victim])
                }
                return done >= ids.count
            }
            for node in nodes {
                await node.signal(SIGTERM)
                #expect(try await node.wait().code == 0)
            }
            for id in ids {
                let record = try await installation.record(id)
                #expect(record.state == .completed, "\(id): \(record.state) \(record.reason)")
            }
            let outcomes = try await installation.auditCounts("job.outcome")
            #expect(Set(outcomes.keys) == Set(ids.map(\.description)))
            #expect(outcomes.values.allSatisfy { $0 == 1 })
            let submissions = try await installation.auditCounts("job.submitted")
            #expect(submissions.count == ids.count && submissions.values.allSatisfy { $0 == 1 })
            for name in ["n1", "n2"] {
                #expect(try await installation.client.send(RedisCommand("EXISTS", "orc:{l0}:run:\(name)")).integer == 0)
            }
            #expect(try await installation.client.send(RedisCommand("XLEN", "orc:{l0}:w:acme:s:2")).integer == 0)
            #expect(
                try await installation.client.send(RedisCommand("XPENDING", "orc:{l0}:w:acme:s:2", "workers")).elements
                    .first?.integer == 0)
            try await eventually("no process is left behind") {
                ProcessTable().matching(installation.directory).filter { !$0.command.contains("redis") }.isEmpty
            }
        }
    }

    /// What is killed while an agent waits for a file, and how many launches the agent needs after it.
    enum Victim: String, CaseIterable, Sendable {
        case program, shim, tmux, node, redis

        var launches: Int64 { self == .program || self == .shim ? 2 : 1 }
    }

    @Test("an agent's job is finished whatever dies under it", arguments: Victim.allCases)
    func agentSurvives(victim: Victim) async throws {
        try await Installation.with { installation in
            let node = installation.node("n1")
            try await installation.start(node)
            let id = try await installation.submit(
                "agent.run",
                [
                    "agent": "shell",
                    "prompt": "echo before; until [ -e /workspace/go ]; do sleep 0.05; done; echo after-$((40+2))",
                ], isRepeatable: true)
            let agent = "\(installation.directory)/n1/agents/\(id)"
            let log = { (launch: Int) in
                String(
                    decoding: FileManager.default.contents(atPath: "\(agent)/\(launch)/output.log") ?? Data(),
                    as: UTF8.self)
            }
            try await eventually("the prompt runs") { log(1).contains("before\r\n") }
            let table = ProcessTable()
            let shim = try #require(
                table.matching("orchestra-shim agent \(agent)/1").first { !$0.command.contains("tmux") })
            switch victim {
            case .program:
                // The shell that runs the prompt: below the shim come the launcher, its init, and the program.
                let program = try #require(Self.program(below: shim.pid, in: table))
                #expect(kill(program, SIGKILL) == 0)
                try await eventually("it is launched again") { log(2).contains("before\r\n") }
            case .shim:
                #expect(kill(shim.pid, SIGKILL) == 0)
                try await eventually("it is launched again") { log(2).contains("before\r\n") }
                #expect(ProcessTable().matching("\(agent)/1").isEmpty)
            case .tmux:
                let server = try #require(table.matching("tmux -S \(agent)/1/t1").first)
                #expect(kill(server.pid, SIGKILL) == 0)
                try await eventually("a new server shows it") {
                    !ProcessTable().matching("orchestra-shim view \(agent)/1").isEmpty
                }
            case .node:
                await node.kill9()
                #expect(!ProcessTable().matching("orchestra-shim agent \(agent)/1").isEmpty)
                try await installation.start(node)
            case .redis:
                await installation.redis.process.kill9()
            }
            let workspace = "\(installation.directory)/n1/workspaces/acme"
            #expect(FileManager.default.createFile(atPath: workspace + "/go", contents: nil))
            if victim == .redis {
                // The agent ends while Redis is away; its outcome waits.
                try await eventually("the agent ends") { FileManager.default.fileExists(atPath: agent + "/1/exit") }
                try await installation.redis.start()
            }
            let record = try await installation.ended(id)
            #expect(record.state == .completed, "\(record.reason)")
            let result = try await installation.result(record)
            #expect(result["launches"]?.integer == victim.launches)
            #expect(result["terminal"]?.string?.contains("after-42") == true)
            #expect(try await installation.auditCounts("job.outcome") == [id.description: 1])
            let log1 = log(Int(victim.launches))
            #expect(result["log_bytes"]?.integer == Int64(log1.utf8.count))
            await node.signal(SIGTERM)
            #expect(try await node.wait().code == 0)
            try await eventually("nothing of the agent is left") { ProcessTable().matching(agent).isEmpty }
        }
    }

    private static func program(below shim: Int32, in table: ProcessTable) -> Int32? {
        var current = shim
        while let child = table.children(of: current).first {
            if child.command.hasPrefix("/bin/bash --noprofile --norc -i") { return child.pid }
            current = child.pid
        }
        return nil
    }

    @Test("SIGTERM lets a running job finish, takes no new one, and ends with status 0")
    func drainFinishes() async throws {
        try await Installation.with { installation in
            let node = installation.node("n1")
            try await installation.start(node)
            let running = try await installation.submit(
                "shell.run", ["command": "touch here; until [ -e go ]; do sleep 0.02; done; echo finished"])
            let workspace = "\(installation.directory)/n1/workspaces/acme"
            try await eventually("the command runs") { FileManager.default.fileExists(atPath: workspace + "/here") }
            await node.signal(SIGTERM)
            try await eventually("it drains") { await node.output.contains("draining") }
            let late = try await installation.submit("queue.noop", [:])
            #expect(FileManager.default.createFile(atPath: workspace + "/go", contents: nil))
            #expect(try await node.wait().code == 0)
            #expect(try await installation.record(running).state == .completed)
            #expect(try await installation.record(late).state == .available)
            #expect(try await installation.client.send(RedisCommand("ZCARD", "orc:{l0}:nodes")).integer == 0)
        }
    }

    @Test("past the grace a running job is handed back uncounted and the next node runs it")
    func drainHandsBack() async throws {
        try await Installation.with { installation in
            let node = ManagedProcess(
                buildDirectory + "/orchestra", ["worker", "--set", "worker.grace=0"],
                environment: installation.environment(node: "n1"), log: "\(installation.directory)/n1.log")
            try await installation.start(node)
            let marker = "sleep 601.\(Int.random(in: 1000...9999))"
            let id = try await installation.submit(
                "shell.run",
                ["command": .string("if [ -e here ]; then echo again; else touch here; \(marker); fi")],
                isRepeatable: true)
            let workspace = "\(installation.directory)/n1/workspaces/acme"
            try await eventually("the command runs") { FileManager.default.fileExists(atPath: workspace + "/here") }
            await node.signal(SIGTERM)
            #expect(try await node.wait().code == 0)
            let handedBack = try await installation.record(id)
            #expect(handedBack.state == .available && handedBack.failures == 0 && handedBack.crashes == 0)
            #expect(ProcessTable().matching(marker).isEmpty)
            try await installation.start(node)
            let record = try await installation.ended(id)
            #expect(record.state == .completed && record.failures == 0 && record.crashes == 0)
            await node.signal(SIGTERM)
            #expect(try await node.wait().code == 0)
        }
    }

    @Test(
        "a command whose node died waits for a decision: its effect is there once, until a person says that it may repeat"
    )
    func atMostOnce() async throws {
        try await Installation.with { installation in
            let node = installation.node("n1", lease: 5)
            try await installation.start(node)
            let id = try await installation.submit(
                "shell.run", ["command": "echo ran >> ran; touch here; sleep 600; echo done"])
            let workspace = "\(installation.directory)/n1/workspaces/acme"
            try await eventually("the command runs") { FileManager.default.fileExists(atPath: workspace + "/here") }
            await node.kill9()
            try await installation.start(node)
            let record = try await installation.ended(id)
            #expect(record.state == .unresolved && record.crashes == 1, "\(record.state) \(record.reason)")
            #expect(record.reason.contains("orchestra jobs resolve"))
            #expect(try String(contentsOfFile: workspace + "/ran", encoding: .utf8) == "ran\n")
            await node.signal(SIGTERM)
            #expect(try await node.wait().code == 0)
        }
    }

    @Test("past the grace a command that may not repeat is ended and waits for a decision")
    func drainLeavesForDecision() async throws {
        try await Installation.with { installation in
            let node = ManagedProcess(
                buildDirectory + "/orchestra", ["worker", "--set", "worker.grace=0"],
                environment: installation.environment(node: "n1"), log: "\(installation.directory)/n1.log")
            try await installation.start(node)
            let marker = "sleep 601.\(Int.random(in: 1000...9999))"
            let id = try await installation.submit("shell.run", ["command": .string("touch here; \(marker)")])
            let workspace = "\(installation.directory)/n1/workspaces/acme"
            try await eventually("the command runs") { FileManager.default.fileExists(atPath: workspace + "/here") }
            await node.signal(SIGTERM)
            #expect(try await node.wait().code == 0)
            #expect(try await installation.record(id).state == .unresolved)
            #expect(ProcessTable().matching(marker).isEmpty)
        }
    }

    @Test("a node that stays dead loses its jobs to another, and its agents end by themselves")
    func takeOver() async throws {
        try await Installation.with { installation in
            let first = installation.node("n1", lease: 5)
            try await installation.start(first)
            let id = try await installation.submit(
                "agent.run", ["agent": "shell", "prompt": "until [ -e /workspace/go ]; do sleep 0.05; done"],
                isRepeatable: true)
            let agent = "\(installation.directory)/n1/agents/\(id)"
            try await eventually("the agent runs") { FileManager.default.fileExists(atPath: agent + "/1/output.log") }
            await first.kill9()
            let second = installation.node("n2", lease: 5)
            try await installation.start(second)
            try FileManager.default.createDirectory(
                atPath: "\(installation.directory)/n2/workspaces/acme", withIntermediateDirectories: true,
                attributes: [.posixPermissions: 0o700])
            #expect(
                FileManager.default.createFile(atPath: "\(installation.directory)/n2/workspaces/acme/go", contents: nil)
            )
            let record = try await installation.ended(id)
            #expect(record.state == .completed && record.node == "n2" && record.crashes == 1)
            try await eventually("the first agent is gone") { ProcessTable().matching(agent).isEmpty }
            await second.signal(SIGTERM)
            #expect(try await second.wait().code == 0)
        }
    }

    @Test("a poison entry goes to the dead letters with its reason, and the job behind it runs")
    func poison() async throws {
        try await Installation.with { installation in
            let node = installation.node("n1")
            let first = try await installation.submit("queue.noop", [:])
            _ = try await installation.client.send(
                RedisCommand("XADD", "orc:{l0}:w:acme:s:2", "*", "e", "0123456789abcdefgarbage"))
            _ = try await installation.client.send(RedisCommand("XADD", "orc:{l0}:w:acme:s:2", "*", "x", "y"))
            let denied = try await installation.submit("shell.nothing", [:])
            let last = try await installation.submit("queue.noop", [:])
            try await installation.start(node)
            #expect(try await installation.ended(first).state == .completed)
            #expect(try await installation.ended(last).state == .completed)
            let refused = try await installation.ended(denied)
            #expect(refused.state == .discarded && refused.reason.contains("not allowed"))
            let dead = try await installation.client.send(RedisCommand("XRANGE", "orc:{l0}:w:acme:dead", "-", "+"))
                .elements
            #expect(dead.count == 3)
            await node.signal(SIGTERM)
            #expect(try await node.wait().code == 0)
        }
    }
}

@Suite("Agents that are handed back", .serialized, .enabled(if: !isRoot, "the node refuses to run as root"))
struct AgentHandBackTests {
    private static let prompt = "echo before; until [ -e /workspace/go ]; do sleep 0.05; done; echo after"

    @Test("an agent's job that a drain handed back runs again on the same node, uncounted")
    func drained() async throws {
        try await Installation.with { installation in
            let node = ManagedProcess(
                buildDirectory + "/orchestra", ["worker", "--set", "worker.grace=0"],
                environment: installation.environment(node: "n1"), log: "\(installation.directory)/n1.log")
            try await installation.start(node)
            let id = try await installation.submit(
                "agent.run", ["agent": "shell", "prompt": .string(Self.prompt)], isRepeatable: true)
            let agent = "\(installation.directory)/n1/agents/\(id)"
            try await eventually("the prompt runs") { Self.log(agent, 1).contains("before\r\n") }
            await node.signal(SIGTERM)
            #expect(try await node.wait().code == 0)
            // The viewer ends when it sees that its pane has.
            try await eventually("nothing of it is left") { ProcessTable().matching(agent).isEmpty }
            #expect(try await installation.record(id).state == .available)
            try await installation.start(node)
            try await eventually("it is launched again") { Self.log(agent, 2).contains("before\r\n") }
            try await Self.finish(installation, id)
            await node.signal(SIGTERM)
            #expect(try await node.wait().code == 0)
        }
    }

    @Test("an agent that ended for want of its node is launched again when the node comes back")
    func orphaned() async throws {
        try await Installation.with { installation in
            let node = installation.node("n1", lease: 5)
            try await installation.start(node)
            let id = try await installation.submit(
                "agent.run", ["agent": "shell", "prompt": .string(Self.prompt)], isRepeatable: true)
            let agent = "\(installation.directory)/n1/agents/\(id)"
            try await eventually("the prompt runs") { Self.log(agent, 1).contains("before\r\n") }
            await node.kill9()
            try await eventually("the orphan ends") { ProcessTable().matching(agent).isEmpty }
            try await installation.start(node)
            try await eventually("it is launched again") { Self.log(agent, 2).contains("before\r\n") }
            try await Self.finish(installation, id)
            await node.signal(SIGTERM)
            #expect(try await node.wait().code == 0)
        }
    }

    private static func log(_ agent: String, _ launch: Int) -> String {
        String(decoding: FileManager.default.contents(atPath: "\(agent)/\(launch)/output.log") ?? Data(), as: UTF8.self)
    }

    private static func finish(_ installation: Installation, _ id: JobID) async throws {
        #expect(
            FileManager.default.createFile(atPath: "\(installation.directory)/n1/workspaces/acme/go", contents: nil))
        let record = try await installation.ended(id)
        #expect(record.state == .completed && record.failures == 0, "\(record.reason)")
        #expect(try await installation.auditCounts("job.outcome") == [id.description: 1])
    }

    @Test("one workspace's long jobs leave slots for another's")
    func fairSlots() async throws {
        try await Installation.with { installation in
            let node = installation.node("n1")
            for _ in 0..<40 {
                _ = try await installation.submit(
                    "shell.run", ["command": "until [ -e go ]; do sleep 0.1; done"], workspace: "big")
            }
            let small = try await installation.submit("shell.run", ["command": "echo small"], workspace: "small")
            try await installation.start(node)
            try await eventually("the small one is done") {
                try await installation.record(small, workspace: "small").state == .completed
            }
            #expect(
                FileManager.default.createFile(atPath: "\(installation.directory)/n1/workspaces/big/go", contents: nil))
            try await eventually("the big ones are done") {
                try await installation.auditCounts("job.outcome").count == 41
            }
            await node.signal(SIGTERM)
            #expect(try await node.wait().code == 0)
        }
    }

    @Test("a Redis that is full refuses submissions and lets the node finish what it has")
    func fullRedis() async throws {
        try await Installation.with { installation in
            let node = installation.node("n1")
            try await installation.start(node)
            let id = try await installation.submit(
                "shell.run", ["command": "touch here; until [ -e go ]; do sleep 0.05; done"])
            let workspace = "\(installation.directory)/n1/workspaces/acme"
            try await eventually("it runs") { FileManager.default.fileExists(atPath: workspace + "/here") }
            _ = try await installation.client.send(RedisCommand("CONFIG", "SET", "maxmemory", "1mb"))
            let refused = try await installation.command(["submit", "queue.noop"])
            #expect(refused.code == 69 && refused.errors.contains("maxmemory"), "\(refused.errors)")
            #expect(FileManager.default.createFile(atPath: workspace + "/go", contents: nil))
            #expect(try await installation.ended(id).state == .completed)
            #expect(await !node.output.contains("a supervised child failed"))
            await node.signal(SIGTERM)
            #expect(try await node.wait().code == 0)
        }
    }
}
