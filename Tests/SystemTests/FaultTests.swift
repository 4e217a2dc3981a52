import Domain
import Foundation
import Jobs
import Redis
import Synchronization
import TestSupport
import Testing

/// Real nodes whose Redis, network and own processes go wrong, one fault after the other; outcomes are counted in the
/// audit trail, effects outside in a file that the job appends to. `ops/faults` runs it at 10,000 jobs.
@Suite("Faults", .serialized, .enabled(if: !isRoot, "the node refuses to run as root"))
struct FaultTests {
    /// Jobs for each fault that is tried under load.
    private static let count =
        ProcessInfo.processInfo.environment["ORCHESTRA_FAULT_JOBS"].flatMap { Int($0) } ?? 200

    /// A node that reaches Redis through the proxy.
    private static func node(
        _ installation: Installation, _ proxy: FaultProxy, _ name: String, lease: Int = 4
    ) -> ManagedProcess {
        var environment = installation.environment(node: name, lease: lease)
        environment["REDIS_URL"] = "redis://127.0.0.1:\(proxy.port)"
        environment["ORCHESTRA_WORKER_SLOTS"] = "32"
        environment.merge(Installation.sharing) { $1 }
        environment["ORCHESTRA_WORKER_WORKSPACE_CONCURRENCY"] = "32"
        return ManagedProcess(
            buildDirectory + "/orchestra", ["worker"], environment: environment,
            log: "\(installation.directory)/\(name).log")
    }

    /// Submits no-op jobs past the nodes.
    private static func submit(_ installation: Installation, _ count: Int) async throws -> [JobID] {
        var jobs: [JobID] = []
        for start in stride(from: 0, to: count, by: 200) {
            let now = try await installation.queue.time()
            var batch: [Submission] = []
            for _ in start..<min(start + 200, count) {
                let id = JobID(
                    milliseconds: now, randomHigh: .random(in: 0...(.max)), randomLow: .random(in: 0...(.max)))
                let event = #"{"kind":"job.submitted","job_id":"\#(id)"}"#
                batch.append(
                    Submission(
                        job: Job(
                            id: id, workspace: try WorkspaceID("acme"), action: try ActionName("queue.noop"),
                            requestID: RequestID(uuid: id.uuid), actor: "test", submittedAt: now,
                            params: Array("{}".utf8)), auditEvent: Array(event.utf8)))
            }
            for result in try await installation.queue.submit(batch, keys: installation.keys) {
                guard case .accepted(let id) = result else { throw TestFailure("\(result)") }
                jobs.append(id)
            }
        }
        return jobs
    }

    /// All are completed, each with one outcome in the audit trail, and nothing is left behind.
    private static func checkAllDone(_ installation: Installation, _ jobs: [JobID], within: Duration) async throws {
        try await eventually(within: within, "nothing waits or runs") {
            let now = try await installation.queue.statistics()
            return now.waiting == 0 && now.running == 0 && now.delayed == 0
        }
        let outcomes = try await installation.auditCounts("job.outcome")
        for job in jobs {
            #expect(outcomes[job.description] == 1, "\(job) has \(outcomes[job.description] ?? 0) outcomes")
        }
        let pending = try await installation.client.send(RedisCommand("XPENDING", "orc:{l0}:w:acme:s:2", "workers"))
        #expect(pending.elements.first?.integer == 0)
        #expect(try await installation.client.send(RedisCommand("EXISTS", "orc:{l0}:active")).integer == 0)
    }

    @Test(
        "a bad network loses nothing and doubles nothing, and consuming goes on by itself when it is well again",
        arguments: [
            FaultProxy.Fault.delay(milliseconds: 150), .dribble, .blackHole, .cut(afterBytes: 3000), .refuse,
            .halfClose,
        ])
    func network(_ fault: FaultProxy.Fault) async throws {
        try await Installation.with { installation in
            try await FaultProxy.with(installation.directory + "/redis.sock") { proxy in
                let nodes = [Self.node(installation, proxy, "n1"), Self.node(installation, proxy, "n2")]
                for node in nodes { try await installation.start(node) }
                var jobs = try await Self.submit(installation, Self.count / 2)
                proxy.set(fault)
                if fault == .refuse { proxy.resetAll() }
                jobs += try await Self.submit(installation, Self.count / 2)
                try await ContinuousClock().sleep(for: .seconds(fault == .blackHole ? 7 : 3))
                if fault == .blackHole {
                    try await eventually("the nodes say that they are not ready") {
                        for name in ["n1", "n2"] {
                            let status = try await installation.command(["status"], node: name)
                            guard status.output.contains("not ready") else { return false }
                        }
                        return true
                    }
                }
                proxy.set(.none)
                try await Self.checkAllDone(installation, jobs, within: .seconds(60))
                // And what comes now is done at once.
                let last = try await Self.submit(installation, 1)
                _ = try await installation.ended(try #require(last.first), within: .seconds(10))
                for node in nodes {
                    let log = await node.output
                    let lines = log.split(separator: "\n").count
                    #expect(lines < 80, "\(lines) log lines: \(log.suffix(2000))")
                    await node.signal(SIGTERM)
                    #expect(try await node.wait().code == 0)
                }
            }
        }
    }

    enum RedisFault: String, CaseIterable, Sendable {
        case killed, stoppedBeyondTheLease, functionsGone, groupGone, wrongTypeBesides
    }

    @Test("Redis itself goes wrong and comes back: nothing is lost, nothing doubled", arguments: RedisFault.allCases)
    func redis(_ fault: RedisFault) async throws {
        try await Installation.with(redisOptions: ["--appendfsync", "always"]) { installation in
            let nodes = ["n1", "n2"].map { installation.node($0, lease: 4, change: Installation.sharing) }
            for node in nodes { try await installation.start(node) }
            var jobs = try await Self.submit(installation, Self.count)
            let client = installation.client
            switch fault {
            case .killed:
                await installation.redis.process.kill9()
                try await ContinuousClock().sleep(for: .seconds(1))
                try await installation.redis.start()
            case .stoppedBeyondTheLease:
                await installation.redis.process.signal(SIGSTOP)
                try await ContinuousClock().sleep(for: .seconds(6))
                await installation.redis.process.signal(SIGCONT)
            case .functionsGone: _ = try await client.send(RedisCommand("FUNCTION", "FLUSH"))
            case .groupGone:
                // With what it had pending; the entries are there yet, and are delivered again at worst.
                try await eventually("all are done") { try await installation.queue.statistics().waiting == 0 }
                try await Self.checkAllDone(installation, jobs, within: .seconds(60))
                _ = try await client.send(RedisCommand("XGROUP", "DESTROY", "orc:{l0}:w:acme:s:2", "workers"))
            case .wrongTypeBesides:
                _ = try await client.send(RedisCommand("SET", "orc:{l0}:w:bad:s:2", "no stream"))
                _ = try await client.send(RedisCommand("HSET", "orc:{l0}:levels", "bad", "2"))
                _ = try await client.send(RedisCommand("ZADD", "orc:{l0}:ready", "0", "bad"))
                _ = try await client.send(RedisCommand("ZADD", "orc:{l0}:due", "0", "garbage", "1", "a:s:9|b"))
            }
            try await eventually(within: .seconds(30), "jobs can be submitted again") {
                guard let more = try? await Self.submit(installation, Self.count) else { return false }
                jobs += more
                return true
            }
            try await Self.checkAllDone(installation, jobs, within: .seconds(60))
            for node in nodes {
                await node.signal(SIGTERM)
                #expect(try await node.wait().code == 0)
            }
        }
    }

    @Test(
        "an emptied Redis is consumed from again by itself; what was lost with it is asked again",
        arguments: [false, true])
    func emptied(isRestarted: Bool) async throws {
        try await Installation.with { installation in
            let node = installation.node("n1")
            try await installation.start(node)
            _ = try await Self.submit(installation, Self.count)
            if isRestarted {
                await installation.redis.process.kill9()
                try FileManager.default.removeItem(atPath: installation.directory + "/appendonlydir")
                try await installation.redis.start()
            } else {
                // Its functions stay; its keys, its node and its groups do not.
                _ = try await installation.client.send(RedisCommand("FLUSHALL"))
            }
            installation.keys.forget()
            let begin = ContinuousClock.now
            let jobs = try await Self.submit(installation, 20)
            for job in jobs { #expect(try await installation.ended(job, within: .seconds(20)).state == .completed) }
            print("consuming again \(ContinuousClock.now - begin) after a flush")
            // With sealed params too, under the key that is stored now.
            let shell = try await installation.submit("shell.run", ["command": .string("echo fine")])
            let record = try await installation.ended(shell)
            #expect(record.state == .completed, "\(record.reason)")
            await node.signal(SIGTERM)
            #expect(try await node.wait().code == 0)
        }
    }

    @Test("a node that stood still beyond its lease writes nothing of what another has taken; effects are the other's")
    func stoodStill() async throws {
        try await Installation.with { installation in
            let first = installation.node("n1", lease: 4)
            try await installation.start(first)
            let job = try await installation.submit(
                "shell.run", ["command": .string("sleep 3; echo done")], isRepeatable: true)
            try await eventually("it runs") { try await installation.record(job).state == .running }
            await first.signal(SIGSTOP)
            let second = installation.node("n2", lease: 4)
            try await installation.start(second)
            let record = try await installation.ended(job, within: .seconds(40))
            #expect(record.state == .completed && record.node == "n2" && record.crashes == 1)
            await first.signal(SIGCONT)
            // It finds that it was given up, ends what it ran, joins again, and works on.
            try await eventually(within: .seconds(30), "it has joined again") {
                await first.output.ranges(of: "the node has joined the queue").count == 2
            }
            #expect(try await installation.auditCounts("job.outcome")[job.description] == 1)
            let more = try await Self.submit(installation, 50)
            try await Self.checkAllDone(installation, more + [job], within: .seconds(60))
            for node in [first, second] {
                await node.signal(SIGTERM)
                #expect(try await node.wait().code == 0)
            }
        }
    }

    /// Nodes with an action `mail.send` whose effect is outside: a script, tried up to five times.
    private static func mailers(
        _ installation: Installation, _ names: [String], _ script: String
    ) throws -> [ManagedProcess] {
        let policies = installation.directory + "/Policies"
        try FileManager.default.copyItem(atPath: packageRoot + "/Policies", toPath: policies)
        let action = """
            {"name":"mail.send","summary":"x","effect":"external","sandbox":"default","max_attempts":5,
            "handler":{"kind":"command","argv":["/bin/bash","-c","\(script)"]},
            "params":{"type":"object","properties":{},"additionalProperties":false}}
            """
        try Data(action.utf8).write(to: URL(filePath: policies + "/actions/mail.send.json"))
        return names.map { name in
            var environment = installation.environment(node: name, lease: 4)
            environment["ORCHESTRA_POLICIES_DIRECTORY"] = policies
            environment["ALLOW_ACTIONS_DEFAULT"] = "mail.send"
            environment.merge(Installation.sharing) { $1 }
            return ManagedProcess(
                buildDirectory + "/orchestra", ["worker"], environment: environment,
                log: "\(installation.directory)/\(name).log")
        }
    }

    @Test("an action with effects outside is not repeated when its node dies under it, and a person decides")
    func externalEffect() async throws {
        try await Installation.with { installation in
            let node = try Self.mailers(installation, ["n1"], "echo sent >>/workspace/effects; sleep 20")[0]
            try await installation.start(node)
            let job = try await installation.submit("mail.send", .object([]))
            let effects = "\(installation.directory)/n1/workspaces/acme/effects"
            // Not the file alone: a shell makes it a moment before it writes.
            try await eventually("it took effect") {
                (try? String(contentsOfFile: effects, encoding: .utf8)) == "sent\n"
            }
            await node.kill9()
            try await installation.start(node)
            #expect(try await installation.ended(job).state == .unresolved)
            #expect(try String(contentsOfFile: effects, encoding: .utf8) == "sent\n")
            let listed = try await installation.command(["dead", "list"], change: ["ORCHESTRA_WORKSPACE": "acme"])
            #expect(listed.output.contains("unresolved"))
            let acme = ["ORCHESTRA_WORKSPACE": "acme"]
            let requeue = try await installation.command(["dead", "requeue", job.description], change: acme)
            #expect(requeue.code == 65 && requeue.errors.contains("orchestra jobs resolve"))
            let wrong = try await installation.command(
                ["jobs", "resolve", job.description, "--as", "perhaps"], change: acme)
            #expect(wrong.code == 64)
            let resolved = try await installation.command(
                ["jobs", "resolve", job.description, "--as", "done"], change: acme)
            #expect(resolved.code == 0, "\(resolved.errors)")
            #expect(try await installation.record(job).state == .completed)
            #expect(try await installation.auditCounts("job.resolved")[job.description] == 1)
            await node.signal(SIGTERM)
            #expect(try await node.wait().code == 0)
        }
    }

    @Test("an effect outside that was cut off by somebody's signal is not repeated either", arguments: [false, true])
    func externalCutOff(killsShim: Bool) async throws {
        try await Installation.with { installation in
            let marker = "20.\(Int.random(in: 100_000...999_999))"
            let node = try Self.mailers(
                installation, ["n1"], "echo sent >>/workspace/effects; sleep \(marker)")[0]
            try await installation.start(node)
            let job = try await installation.submit("mail.send", .object([]))
            let effects = "\(installation.directory)/n1/workspaces/acme/effects"
            try await eventually("it has taken effect") { FileManager.default.fileExists(atPath: effects) }
            let table = ProcessTable()
            let shim = try #require(
                table.children(of: await node.processID).first { $0.command.contains("orchestra-shim command") })
            // Its launcher stands for whatever a host ends when memory is out.
            kill(killsShim ? shim.pid : try #require(table.children(of: shim.pid).first).pid, SIGKILL)
            let record = try await installation.ended(job)
            #expect(record.state == .unresolved && record.reason.contains("may have taken effect"), "\(record.reason)")
            #expect(try String(contentsOfFile: effects, encoding: .utf8) == "sent\n")
            try await eventually("nothing of it is left") { ProcessTable().matching(marker).isEmpty }
            await node.signal(SIGTERM)
            #expect(try await node.wait().code == 0)
        }
    }

    @Test("however nodes die, an effect outside happens at most once for each request, and no job is forgotten")
    func externalEffectsUnderDeaths() async throws {
        try await Installation.with { installation in
            let pause = "sleep 0.$((RANDOM % 3))"
            let nodes = try Self.mailers(
                installation, ["n1", "n2"],
                "\(pause); echo $ORCHESTRA_REQUEST_ID >>/workspace/effects; \(pause)")
            for node in nodes { try await installation.start(node) }
            var jobs: [JobID] = []
            for _ in 0..<60 { jobs.append(try await installation.submit("mail.send", .object([]))) }
            for round in 0..<4 {
                let before = try await installation.auditCounts("job.outcome").count
                try await eventually("some more have ended") {
                    try await installation.auditCounts("job.outcome").count >= min(before + 5, jobs.count)
                }
                await nodes[round % 2].kill9()
                try await installation.start(nodes[round % 2])
            }
            var states: [JobState: Int] = [:]
            for job in jobs { states[try await installation.ended(job).state, default: 0] += 1 }
            // The sink's own count, over both nodes' workspaces.
            var effects: [Substring] = []
            for name in ["n1", "n2"] {
                let path = "\(installation.directory)/\(name)/workspaces/acme/effects"
                let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
                effects += text.split(separator: "\n")
            }
            #expect(Set(effects).count == effects.count)
            let (completed, unresolved) = (states[.completed] ?? 0, states[.unresolved] ?? 0)
            #expect(completed + unresolved == jobs.count, "\(states)")
            #expect(completed <= effects.count && effects.count <= completed + unresolved)
            for node in nodes {
                await node.signal(SIGTERM)
                #expect(try await node.wait().code == 0)
            }
        }
    }

    @Test("a flood of poison entries is passed by, each kept with its reason, and the log stays short")
    func poisonFlood() async throws {
        try await Installation.with { installation in
            let node = installation.node("n1")
            for number in 0..<Self.count {
                let value = number % 2 == 0 ? "short" : String(format: "%016d-garbage", number)
                _ = try await installation.client.send(
                    RedisCommand("XADD", "orc:{l0}:w:acme:s:2", "*", "e", value))
            }
            let last = try await Self.submit(installation, 1)
            try await installation.start(node)
            #expect(try await installation.ended(try #require(last.first)).state == .completed)
            try await eventually("all are kept") {
                try await installation.client.send(RedisCommand("XLEN", "orc:{l0}:w:acme:dead")).integer == Self.count
            }
            #expect(await node.output.split(separator: "\n").count < 30)
            await node.signal(SIGTERM)
            #expect(try await node.wait().code == 0)
        }
    }
}
