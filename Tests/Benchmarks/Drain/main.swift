import Cryptography
import Domain
import Foundation
import Jobs
import Redis
import TestSupport

// orchestra-bench [--jobs N] [--rounds N] [--aof]
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

/// One drain by the node, which is held still while the queue is filled.
func drainByNode(_ directory: String, _ redis: TestRedis, jobs: Int) async throws -> Figures {
    try await withClient(redis.configuration) { client in
        let queue = RedisStreamJobQueue(client: client, limits: QueueLimits())
        let keys = WorkspaceKeyring(
            queue: queue, master: try SealingKey(bytes: [UInt8](repeating: 0x5a, count: 32)))
        let node = ManagedProcess(
            buildDirectory + "/orchestra", ["worker"],
            environment: [
                "HOME": directory, "REDIS_URL": redis.url, "ORCHESTRA_MASTER_KEY": String(repeating: "5a", count: 32),
                "ALLOW_ACTIONS_DEFAULT": "queue.noop", "ORCHESTRA_NODE_NAME": "bench", "ORCHESTRA_PROBE_PORT": "0",
                "ORCHESTRA_STATE_DIRECTORY": directory + "/state",
                "ORCHESTRA_POLICIES_DIRECTORY": packageRoot + "/Policies",
                "ORCHESTRA_QUEUE_LEASE": "600", "ORCHESTRA_WORKER_SLOTS": "512",
                "ORCHESTRA_WORKER_WORKSPACE_CONCURRENCY": "512",
            ], log: directory + "/node.log")
        try await node.start()
        try await eventually("the node is up") { await node.output.contains("the node is up") }
        await node.signal(SIGSTOP)
        let params = JSONValue.object([JSONMember("note", .string(String(repeating: "x", count: 250)))]).bytes
        let now = try await queue.time()
        for start in stride(from: 0, to: jobs, by: 200) {
            var batch: [Submission] = []
            for _ in start..<min(start + 200, jobs) {
                let id = JobID(
                    milliseconds: now, randomHigh: .random(in: 0...(.max)), randomLow: .random(in: 0...(.max)))
                batch.append(
                    Submission(
                        job: Job(
                            id: id, workspace: try WorkspaceID("bench"), action: try ActionName("queue.noop"),
                            requestID: RequestID(uuid: id.uuid), actor: "bench", submittedAt: now, params: params),
                        auditEvent: Array(#"{"kind":"job.submitted"}"#.utf8)))
            }
            _ = try await queue.submit(batch, keys: keys)
        }
        let pid = await node.processID
        let cpu = processorTime(of: pid)
        let redisCPU = processorTime(of: await redis.process.processID)
        let callsBefore = try await calls(of: "fcall", client)
        let begin = ContinuousClock.now
        await node.signal(SIGCONT)
        try await eventually("the queue is empty") {
            let waiting = try await client.send(RedisCommand("XLEN", "orc:{l0}:w:bench:s:2")).integer
            return waiting == 0
        }
        let wall = (ContinuousClock.now - begin) / .microseconds(1)
        let figures = Figures(
            jobsPerSecond: Double(jobs) * 1e6 / wall, workerMicroseconds: (processorTime(of: pid) - cpu) / Double(jobs),
            redisMicroseconds: (processorTime(of: await redis.process.processID) - redisCPU) / Double(jobs),
            jobsPerCall: Double(jobs) / (try await calls(of: "fcall", client) - callsBefore))
        await node.signal(SIGTERM)
        _ = try await node.wait()
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

let jobs = option("--jobs", 50_000) / 200 * 200
let rounds = option("--rounds", 5)
let options = CommandLine.arguments.contains("--aof") ? [] : ["--appendonly", "no"]
var node: [Figures] = []
var baseline: [Figures] = []
for round in 1...rounds {
    try await withDirectory { directory in
        try await withRedis(in: directory, options: options) { redis in
            baseline.append(try await drainByBaseline(redis, jobs: jobs))
        }
    }
    try await withDirectory { directory in
        try await withRedis(in: directory, options: options) { redis in
            node.append(try await drainByNode(directory, redis, jobs: jobs))
        }
    }
    FileHandle.standardError.write(Data("round \(round) of \(rounds)\n".utf8))
}
func row(_ name: String, _ figures: [Figures]) -> String {
    String(
        format: "%@ %10.0f %14.2f %14.2f", name.padding(toLength: 28, withPad: " ", startingAt: 0),
        median(figures.map(\.jobsPerSecond)), median(figures.map(\.workerMicroseconds)),
        median(figures.map(\.redisMicroseconds)))
}
print("\(jobs) jobs a round, \(rounds) rounds, medians, append-only file \(options.isEmpty ? "everysec" : "off")")
print("                                 jobs/s  worker CPU-µs   Redis CPU-µs   (each a job)")
print(row("C, careful Redis work only", baseline))
print(row("orchestra, all guarantees", node))
print(String(format: "jobs for each call of a server function: %.0f", median(node.map(\.jobsPerCall))))
let ratios = zip(node, baseline).map { $0.jobsPerSecond / $1.jobsPerSecond }
print(String(format: "ratio of the rates, median of rounds: %.2f", median(ratios)))
