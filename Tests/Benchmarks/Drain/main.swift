import Cryptography
import Domain
import Foundation
import Jobs
import Redis
import TestSupport

// orchestra-bench [--jobs N] [--rounds N] [--aof]
//
// orchestra-bench latency [--rate N] [--seconds N] | bytes | scale [--jobs N] [--rounds N]
//
// Drains N no-op jobs through a real node with every guarantee on (seal, decision, lease, fencing, record,
// sealed result, audit event, acknowledgement), and in the same round makes a C program do a careful worker's
// Redis work for as many entries. Prints medians and their ratio; absolute numbers are this machine's, now.

struct Figures {
    var jobsPerSecond: Double
    var workerMicroseconds: Double
    var redisMicroseconds: Double
    /// Jobs for each call of a function, claims and completions together.
    var jobsPerCall = 0.0
}

/// How often a command was called since the server began.
func calls(of command: String, _ client: RedisClient) async throws -> Double {
    let text = try await client.send(RedisCommand("INFO", "commandstats")).string ?? ""
    let line = text.split(separator: "\r\n").first { $0.hasPrefix("cmdstat_\(command):calls=") }
    return line?.split(separator: "=").dropFirst().first?.split(separator: ",").first.flatMap { Double($0) } ?? 0
}

func option(_ name: String, _ fallback: Int) -> Int {
    guard let index = CommandLine.arguments.firstIndex(of: name), index + 1 < CommandLine.arguments.count else {
        return fallback
    }
    return Int(CommandLine.arguments[index + 1]) ?? fallback
}

/// User and system time of a process in microseconds, from `/proc` (ticks of 10 ms).
func processorTime(of pid: Int32) -> Double {
    let text = String(decoding: FileManager.default.contents(atPath: "/proc/\(pid)/stat") ?? Data(), as: UTF8.self)
    let fields = text.split(separator: ")").last?.split(separator: " ") ?? []
    guard fields.count > 12, let user = Double(fields[11]), let system = Double(fields[12]) else { return 0 }
    return (user + system) * 1e6 / Double(sysconf(Int32(_SC_CLK_TCK)))
}

func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }

/// Settings of one measurement.
struct Setting {
    var jobs = 50_000
    /// Workspaces that the jobs are spread over, and those that are there besides with nothing to do.
    var workspaces = 1
    var idleWorkspaces = 0
    var nodes = 1
    /// Redis' options.
    var options = ["--appendonly", "no"]
    /// Bytes of a param.
    var payload = 250
    var transport = Transport.unixSocket

    /// How nodes reach Redis; the measurement itself uses its socket.
    enum Transport {
        case unixSocket
        case tcp
        case tls
    }
}

/// Redis' options, and a node's address and variables, for a transport; makes the certificates in the directory.
func reach(_ transport: Setting.Transport, _ directory: String) async throws -> (
    options: [String], url: String?, variables: [String: String]
) {
    let port = 20_000 + Int(getpid()) % 10_000
    switch transport {
    case .unixSocket: return ([], nil, [:])
    case .tcp: return (["--port", String(port)], "redis://127.0.0.1:\(port)", [:])
    case .tls:
        let made = try await runProgram(
            "/bin/sh",
            [
                "-c",
                """
                cd \(directory) && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem \
                -out cert.pem -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 -days 2
                """,
            ])
        guard made.code == 0 else { throw TestFailure(made.errors) }
        return (
            [
                "--tls-port", String(port), "--tls-cert-file", directory + "/cert.pem", "--tls-key-file",
                directory + "/key.pem", "--tls-ca-cert-file", directory + "/cert.pem", "--tls-auth-clients", "no",
            ], "rediss://127.0.0.1:\(port)", ["REDIS_TLS_CA_FILE": directory + "/cert.pem"]
        )
    }
}

func submission(_ workspace: WorkspaceID, at now: UInt64, payload: Int) throws -> Submission {
    let id = JobID(milliseconds: now, randomHigh: .random(in: 0...(.max)), randomLow: .random(in: 0...(.max)))
    let params = JSONValue.object([JSONMember("note", .string(String(repeating: "x", count: payload)))]).bytes
    return Submission(
        job: Job(
            id: id, workspace: workspace, action: try ActionName("queue.noop"), requestID: RequestID(uuid: id.uuid),
            actor: "bench", submittedAt: now, params: params),
        auditEvent: Array(#"{"kind":"job.submitted"}"#.utf8))
}

func node(_ name: String, _ directory: String, url: String, slots: Int = 512, extra: [String: String] = [:])
    -> ManagedProcess
{
    ManagedProcess(
        buildDirectory + "/orchestra", ["worker"],
        environment: [
            "HOME": directory, "REDIS_URL": url, "ORCHESTRA_MASTER_KEY": String(repeating: "5a", count: 32),
            "ALLOW_ACTIONS_DEFAULT": "queue.noop", "ORCHESTRA_NODE_NAME": name,
            "ORCHESTRA_SANDBOX_SELFTEST": "never", "ORCHESTRA_PROBE_PORT": "0",
            "ORCHESTRA_STATE_DIRECTORY": "\(directory)/\(name)",
            "ORCHESTRA_POLICIES_DIRECTORY": packageRoot + "/Policies", "ORCHESTRA_QUEUE_LEASE": "600",
            "ORCHESTRA_WORKER_SLOTS": String(slots), "ORCHESTRA_WORKER_WORKSPACE_CONCURRENCY": String(slots),
        ].merging(extra) { $1 }, log: "\(directory)/\(name).log")
}

/// One drain by nodes, which are held still while the queue is filled.
func drainByNodes(
    _ directory: String, _ redis: TestRedis, _ setting: Setting, url: String? = nil, variables: [String: String] = [:]
) async throws -> Figures {
    try await withClient(redis.configuration) { client in
        let queue = RedisStreamJobQueue(client: client, limits: QueueLimits(streamLength: 10_000_000))
        let keys = WorkspaceKeyring(
            queue: queue, master: try SealingKey(bytes: [UInt8](repeating: 0x5a, count: 32)))
        let nodes = (0..<setting.nodes).map { node("bench\($0)", directory, url: url ?? redis.url, extra: variables) }
        for node in nodes {
            try await node.start()
            try await eventually("the node is up") { await node.output.contains("the node is up") }
        }
        func fill(_ workspaces: Range<Int>, _ jobs: Int) async throws {
            let now = try await queue.time()
            for start in stride(from: 0, to: jobs, by: 200) {
                let batch = try (start..<min(start + 200, jobs)).map { number in
                    try submission(
                        try WorkspaceID("w\(workspaces.lowerBound + number % workspaces.count)"), at: now,
                        payload: setting.payload)
                }
                _ = try await queue.submit(batch, keys: keys)
            }
        }
        func drained() async throws {
            try await eventually(within: .seconds(600), "the queue is empty") {
                let statistics = try await queue.statistics()
                return statistics.waiting == 0 && statistics.running == 0
            }
        }
        // Those that have nothing to do had something once: their streams and groups are there.
        if setting.idleWorkspaces > 0 {
            try await fill(100_000..<100_000 + setting.idleWorkspaces, setting.idleWorkspaces)
            try await drained()
        }
        for node in nodes { await node.signal(SIGSTOP) }
        try await fill(0..<setting.workspaces, setting.jobs)
        var pids: [Int32] = []
        for node in nodes { pids.append(await node.processID) }
        let cpu = pids.map(processorTime).reduce(0, +)
        let redisPID = await redis.process.processID
        let redisCPU = processorTime(of: redisPID)
        let callsBefore = try await calls(of: "fcall", client)
        let begin = ContinuousClock.now
        for node in nodes { await node.signal(SIGCONT) }
        try await drained()
        let wall = (ContinuousClock.now - begin) / .microseconds(1)
        let jobs = Double(setting.jobs)
        let figures = Figures(
            jobsPerSecond: jobs * 1e6 / wall,
            workerMicroseconds: (pids.map(processorTime).reduce(0, +) - cpu) / jobs,
            redisMicroseconds: (processorTime(of: redisPID) - redisCPU) / jobs,
            jobsPerCall: jobs / (try await calls(of: "fcall", client) - callsBefore))
        for node in nodes {
            await node.signal(SIGTERM)
            _ = try await node.wait()
        }
        return figures
    }
}

func drainByBaseline(_ redis: TestRedis, jobs: Int) async throws -> Figures {
    let program = buildDirectory + "/orchestra-bench-baseline"
    let socket = redis.directory + "/redis.sock"
    let fill = try await runProgram(program, [socket, String(jobs), "fill"])
    guard fill.code == 0 else { throw TestFailure(fill.errors) }
    let redisCPU = processorTime(of: await redis.process.processID)
    let drain = try await runProgram(program, [socket, String(jobs), "drain"])
    let numbers = drain.output.split(whereSeparator: \.isWhitespace).compactMap { Double($0) }
    guard drain.code == 0, numbers.count == 2 else { throw TestFailure(drain.errors) }
    return Figures(
        jobsPerSecond: 1e6 / numbers[0], workerMicroseconds: numbers[1],
        redisMicroseconds: (processorTime(of: await redis.process.processID) - redisCPU) / Double(jobs))
}

func percentile(_ values: [Double], _ part: Double) -> Double {
    let sorted = values.sorted()
    return sorted[min(sorted.count - 1, Int(Double(sorted.count) * part))]
}

/// What a process holds in memory, in MiB.
func resident(_ pid: Int32) -> Double {
    let text = String(decoding: FileManager.default.contents(atPath: "/proc/\(pid)/status") ?? Data(), as: UTF8.self)
    let line = text.split(separator: "\n").first { $0.hasPrefix("VmRSS:") } ?? ""
    return (line.split(whereSeparator: { !$0.isNumber }).first.flatMap { Double($0) } ?? 0) / 1024
}

/// Jobs at a steady rate, one request each; the time from before its submission until its outcome, record, audit event
/// and acknowledgement included, has reached a reader of the audit trail.
func latency(rate: Int, seconds: Int) async throws {
    try await withDirectory { directory in
        try await withRedis(in: directory, options: ["--appendonly", "no"]) { redis in
            try await withClient(redis.configuration) { client in
                try await withClient(redis.configuration) { reader in
                    let queue = RedisStreamJobQueue(client: client, limits: QueueLimits())
                    let keys = WorkspaceKeyring(
                        queue: queue, master: try SealingKey(bytes: [UInt8](repeating: 0x5a, count: 32)))
                    let worker = node("bench", directory, url: redis.url)
                    try await worker.start()
                    try await eventually("the node is up") { await worker.output.contains("the node is up") }
                    let workspace = try WorkspaceID("acme")
                    let total = rate * seconds
                    let times = try await withThrowingTaskGroup(of: [Double].self) { group in
                        let book = Book()
                        group.addTask {
                            var seen: [Double] = []
                            var last = "0-0"
                            while seen.count < total {
                                let command = RedisCommand.streamRead(
                                    [("orc:{l0}:w:acme:audit", last)], count: 1000, waiting: 1000)
                                for stream in try await reader.send(command, timeout: .seconds(3)).elements {
                                    let now = ContinuousClock.now
                                    for entry in stream.elements[1].elements {
                                        last = entry.elements[0].string ?? last
                                        for field in entry.elements[1].elements {
                                            guard let text = field.string, text.contains(#""kind":"job.outcome""#),
                                                let id = text.firstRange(of: #""job_id":""#)
                                            else { continue }
                                            let job = String(text[id.upperBound...].prefix(36))
                                            if let begin = await book.take(job) {
                                                seen.append((now - begin) / .milliseconds(1))
                                            }
                                        }
                                    }
                                }
                            }
                            return seen
                        }
                        let start = ContinuousClock.now
                        for number in 0..<total {
                            try await ContinuousClock().sleep(
                                until: start + .seconds(1) * number / rate, tolerance: .zero)
                            let job = try submission(
                                workspace, at: UInt64(Date().timeIntervalSince1970 * 1000), payload: 250)
                            await book.note("\(job.job.id)", .now)
                            _ = try await queue.submit([job], keys: keys)
                        }
                        return try await group.next() ?? []
                    }
                    let pid = await worker.processID
                    let floor = try await hops(client, reader, rate: rate, seconds: min(seconds, 10))
                    print(
                        String(
                            format:
                                "one entry through Redis to a reader that waits for it, at the same rate next to the idle node: p50 %.2f ms, p99 %.2f ms",
                            percentile(floor, 0.5), percentile(floor, 0.99)))
                    print(
                        String(
                            format:
                                "%d jobs/s for %d s: submit to outcome seen p50 %.2f ms, p99 %.2f ms; node RSS %.1f MiB",
                            rate, seconds, percentile(times, 0.5), percentile(times, 0.99), resident(pid)))
                    await worker.signal(SIGTERM)
                    _ = try await worker.wait()
                }
            }
        }
    }
}

/// The least that a message through Redis can cost here: written by one connection, read by another that waits for it. A
/// job needs three such steps, and two calls that are answered.
func hops(_ client: RedisClient, _ reader: RedisClient, rate: Int, seconds: Int) async throws -> [Double] {
    let total = rate * seconds
    return try await withThrowingTaskGroup(of: [Double].self) { group in
        let book = Book()
        group.addTask {
            var seen: [Double] = []
            var last = "0-0"
            while seen.count < total {
                let command = RedisCommand.streamRead([("hops", last)], count: 1000, waiting: 1000)
                for stream in try await reader.send(command, timeout: .seconds(3)).elements {
                    let now = ContinuousClock.now
                    for entry in stream.elements[1].elements {
                        last = entry.elements[0].string ?? last
                        if let begin = await book.take(entry.elements[1].elements.last?.string ?? "") {
                            seen.append((now - begin) / .milliseconds(1))
                        }
                    }
                }
            }
            return seen
        }
        let start = ContinuousClock.now
        for number in 0..<total {
            try await ContinuousClock().sleep(until: start + .seconds(1) * number / rate, tolerance: .zero)
            await book.note(String(number), .now)
            _ = try await client.send(RedisCommand("XADD", "hops", "*", "n", String(number)))
        }
        return try await group.next() ?? []
    }
}

actor Book {
    private var begins: [String: ContinuousClock.Instant] = [:]
    func note(_ job: String, _ begin: ContinuousClock.Instant) { self.begins[job] = begin }
    func take(_ job: String) -> ContinuousClock.Instant? { self.begins.removeValue(forKey: job) }
}

/// What stays in Redis of finished jobs, by MEMORY USAGE of all keys of a kind.
func bytes() async throws {
    try await withDirectory { directory in
        try await withRedis(in: directory, options: ["--appendonly", "no"]) { redis in
            try await withClient(redis.configuration) { client in
                let queue = RedisStreamJobQueue(client: client, limits: QueueLimits())
                let keys = WorkspaceKeyring(
                    queue: queue, master: try SealingKey(bytes: [UInt8](repeating: 0x5a, count: 32)))
                let lease = NodeLease(
                    queue: queue,
                    identity: NodeIdentity(node: try NodeID("n1"), incarnation: Incarnation(value: 1), owner: "x"))
                _ = try await lease.join()
                let workspace = try WorkspaceID("acme")
                let total = 50_000
                for _ in 0..<total / 100 {
                    let now = try await queue.time()
                    let batch = try (0..<100).map { _ in try submission(workspace, at: now, payload: 250) }
                    _ = try await queue.submit(batch, keys: keys)
                    let deliveries = try await lease.claim(ClaimRequest(most: 100, quantum: 100)).deliveries
                    _ = try await lease.finish(
                        deliveries.map { delivery in
                            Completion(
                                delivery: delivery, end: .completed, action: "queue.noop", runTime: .milliseconds(1),
                                failures: 0, crashes: 0, sealedResult: [UInt8](repeating: 1, count: 90))
                        })
                }
                func usage(_ pattern: String) async throws -> Double {
                    var sum = 0
                    for key in try await client.send(RedisCommand("KEYS", pattern)).elements {
                        var command = RedisCommand("MEMORY", "USAGE")
                        command.append(key.bytes)
                        command.append("SAMPLES")
                        command.append(0)
                        sum += try await client.send(command).integer ?? 0
                    }
                    return Double(sum) / Double(total)
                }
                print(
                    String(
                        format:
                            "bytes in Redis a finished job: idempotency %.0f, record with a sealed result of 90 bytes %.0f, stream %.1f, list of newest %.1f",
                        try await usage("orc:*:i:*"), try await usage("orc:*:r:*"), try await usage("orc:*:s:*"),
                        try await usage("orc:*:n")))
            }
        }
    }
}

func measure(_ name: String, _ setting: Setting, rounds: Int) async throws {
    var all: [Figures] = []
    for _ in 0..<rounds {
        try await withDirectory { directory in
            let way = try await reach(setting.transport, directory)
            try await withRedis(in: directory, options: setting.options + way.options) { redis in
                all.append(
                    try await drainByNodes(directory, redis, setting, url: way.url, variables: way.variables))
            }
        }
    }
    print(row(name, all))
}

func row(_ name: String, _ figures: [Figures]) -> String {
    String(
        format: "%@ %10.0f %14.2f %14.2f", name.padding(toLength: 40, withPad: " ", startingAt: 0),
        median(figures.map(\.jobsPerSecond)), median(figures.map(\.workerMicroseconds)),
        median(figures.map(\.redisMicroseconds)))
}

let heading = "                                             jobs/s  worker CPU-µs   Redis CPU-µs   (each a job)"

/// The cost of a job by how many there are of everything.
func scale(jobs: Int, rounds: Int) async throws {
    print(heading)
    var setting = Setting(jobs: jobs)
    try await measure("1 workspace", setting, rounds: rounds)
    for count in [10, 100, 10_000] {
        setting.workspaces = count
        try await measure("\(count) busy workspaces", setting, rounds: rounds)
    }
    setting.workspaces = 10
    setting.idleWorkspaces = 9_990
    try await measure("10 busy of 10,000 workspaces", setting, rounds: rounds)
    setting = Setting(jobs: jobs, workspaces: 10)
    for count in [2, 4] {
        setting.nodes = count
        try await measure("\(count) nodes, 10 workspaces", setting, rounds: rounds)
    }
    for count in [10, 1_000, 100_000] {
        try await measure("backlog of \(count)", Setting(jobs: count), rounds: rounds)
    }
    try await measure("backlog of 1,000,000", Setting(jobs: 1_000_000), rounds: 1)
    for (name, transport) in [("TCP", Setting.Transport.tcp), ("TCP with TLS 1.3", .tls)] {
        try await measure(name, Setting(jobs: jobs, transport: transport), rounds: rounds)
    }
    for sync in ["everysec", "always"] {
        let options = ["--appendonly", "yes", "--appendfsync", sync]
        try await measure("append-only file, \(sync)", Setting(jobs: jobs, options: options), rounds: rounds)
    }
}

let rounds = option("--rounds", 5)
let jobs = option("--jobs", 50_000) / 200 * 200
switch CommandLine.arguments.dropFirst().first {
case "latency": try await latency(rate: option("--rate", 500), seconds: option("--seconds", 20))
case "bytes": try await bytes()
case "scale": try await scale(jobs: jobs, rounds: rounds)
default:
    let options = CommandLine.arguments.contains("--aof") ? [] : ["--appendonly", "no"]
    var nodes: [Figures] = []
    var baseline: [Figures] = []
    for round in 1...rounds {
        try await withDirectory { directory in
            try await withRedis(in: directory, options: options) { redis in
                baseline.append(try await drainByBaseline(redis, jobs: jobs))
            }
        }
        try await withDirectory { directory in
            try await withRedis(in: directory, options: options) { redis in
                nodes.append(try await drainByNodes(directory, redis, Setting(jobs: jobs)))
            }
        }
        FileHandle.standardError.write(Data("round \(round) of \(rounds)\n".utf8))
    }
    print("\(jobs) jobs a round, \(rounds) rounds, medians, append-only file \(options.isEmpty ? "everysec" : "off")")
    print(heading)
    print(row("C, careful Redis work only", baseline))
    print(row("orchestra, all guarantees", nodes))
    print(String(format: "jobs for each call of a server function: %.0f", median(nodes.map(\.jobsPerCall))))
    let ratios = zip(nodes, baseline).map { $0.jobsPerSecond / $1.jobsPerSecond }
    print(String(format: "ratio of the rates, median of rounds: %.2f", median(ratios)))
}
