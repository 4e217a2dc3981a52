import Cryptography
import Domain
import Foundation
import Jobs
import Redis
import Synchronization
import TestSupport

/// Real nodes on a real Redis in a directory of the test's own.
struct Installation: Sendable {
    let directory: String
    let redis: TestRedis
    let queue: RedisStreamJobQueue
    let client: RedisClient
    let keys: WorkspaceKeyring
    private let started = StartedProcesses()

    private init(directory: String, redis: TestRedis, client: RedisClient) throws {
        self.directory = directory
        self.redis = redis
        self.queue = RedisStreamJobQueue(client: client, limits: QueueLimits())
        self.client = client
        self.keys = WorkspaceKeyring(
            queue: self.queue, master: try SealingKey(bytes: [UInt8](repeating: 0x5a, count: 32)))
    }

    static let master = String(repeating: "5a", count: 32)

    static func with(
        redisOptions: [String] = [], password: String? = nil,
        _ body: @escaping @Sendable (Installation) async throws -> Void
    ) async throws {
        try await withDirectory { directory in
            try await withRedis(in: directory, options: redisOptions, configure: { $0.password = password }) { redis in
                try await withClient(redis.configuration) { client in
                    let installation = try Installation(directory: directory, redis: redis, client: client)
                    do {
                        try await body(installation)
                    } catch {
                        await installation.started.end()
                        throw error
                    }
                    await installation.started.end()
                }
            }
        }
    }

    func environment(node: String, lease: Int = 10) -> [String: String] {
        [
            "HOME": self.directory, "REDIS_URL": self.redis.url, "ORCHESTRA_MASTER_KEY": Self.master,
            "ALLOW_ACTIONS_DEFAULT": "shell.run,agent.run,queue.noop", "ORCHESTRA_NODE_NAME": node,
            "ORCHESTRA_STATE_DIRECTORY": "\(self.directory)/\(node)", "ORCHESTRA_PROBE_PORT": "0",
            "ORCHESTRA_POLICIES_DIRECTORY": packageRoot + "/Policies", "ORCHESTRA_QUEUE_LEASE": String(lease),
            // A node that is gone leaves its workspaces to the others at once.
            "ORCHESTRA_WORKSPACES_HOME_TIMEOUT": "0",
            // Tried by tests of its own.
            "ORCHESTRA_SANDBOX_SELFTEST": "never",
        ]
    }

    /// Lets all nodes run the jobs of one workspace, for tests whose jobs need no files of others.
    static let sharing = ["ORCHESTRA_WORKSPACES_SHARED": "yes"]

    func node(_ name: String, lease: Int = 10, change: [String: String] = [:]) -> ManagedProcess {
        ManagedProcess(
            buildDirectory + "/orchestra", ["worker"],
            environment: self.environment(node: name, lease: lease).merging(change) { $1 },
            log: "\(self.directory)/\(name).log")
    }

    func command(_ arguments: [String], node: String = "n1", change: [String: String] = [:]) async throws -> (
        code: Int32, output: String, errors: String
    ) {
        try await runProgram(
            buildDirectory + "/orchestra", arguments, environment: self.environment(node: node).merging(change) { $1 })
    }

    /// Starts another program, such as a client, that ends with the installation.
    func startClient(_ client: ManagedProcess) async throws {
        self.started.add(client)
        try await client.start()
    }

    /// Starts the node and waits until it has joined.
    func start(_ node: ManagedProcess) async throws {
        self.started.add(node)
        let before = await node.output.ranges(of: "the node is up").count
        try await node.start()
        try await eventually("the node is up") {
            guard await node.isRunning else {
                throw TestFailure("the node ended: \(try await node.wait()): \(await node.output)")
            }
            return await node.output.ranges(of: "the node is up").count > before
        }
    }

    func submit(
        _ action: String, _ params: JSONValue, workspace: String = "acme", isRepeatable: Bool? = nil
    ) async throws -> JobID {
        let now = try await self.queue.time()
        let id = JobID(milliseconds: now, randomHigh: .random(in: 0...(.max)), randomLow: .random(in: 0...(.max)))
        let job = Job(
            id: id, workspace: try WorkspaceID(workspace), action: try ActionName(action),
            requestID: try RequestID(UUID().uuidString), actor: "test", submittedAt: now, params: params.bytes,
            isRepeatable: isRepeatable)
        let result = try await self.queue.submit(
            [Submission(job: job, auditEvent: Array(#"{"kind":"job.submitted","job_id":"\#(id)"}"#.utf8))],
            keys: self.keys)
        guard result == [.accepted(id)] else { throw TestFailure("not accepted: \(result)") }
        return id
    }

    func record(_ id: JobID, workspace: String = "acme") async throws -> JobRecord {
        guard let record = try await self.queue.job(id, in: try WorkspaceID(workspace)) else {
            throw TestFailure("there is no record of \(id)")
        }
        return record
    }

    func result(_ record: JobRecord, workspace: String = "acme") async throws -> JSONValue {
        try JSONParser.parse(
            try await JobEnvelope.open(
                result: record.sealedResult, workspace: try WorkspaceID(workspace), job: record.id, keys: self.keys))
    }

    /// Waits for the job's end.
    func ended(_ id: JobID, within limit: Duration = .seconds(60)) async throws -> JobRecord {
        try await eventually(within: limit, "job \(id) ends") { try await self.record(id).state.isFinal }
        return try await self.record(id)
    }

    /// Audit events of a kind, by job id: how many each has.
    func auditCounts(_ kind: String) async throws -> [String: Int] {
        var counts: [String: Int] = [:]
        for entry in try await self.client.auditEntries() {
            for field in entry.elements[1].elements where field.bytes.first == UInt8(ascii: "{") {
                let event = try JSONParser.parse(Array(field.bytes))
                guard event["kind"]?.string == kind, let id = event["job_id"]?.string else { continue }
                counts[id, default: 0] += 1
            }
        }
        return counts
    }
}

/// The processes that a test started; none outlives it, whatever went wrong.
final class StartedProcesses: Sendable {
    private let processes = Mutex<[ManagedProcess]>([])

    func add(_ process: ManagedProcess) {
        self.processes.withLock { list in
            if !list.contains(where: { $0 === process }) { list.append(process) }
        }
    }

    func end() async {
        for process in self.processes.withLock({ $0 }) { await process.kill9() }
    }
}

/// What the tests read of `/proc`: the processes of this user with their command lines and parents.
struct ProcessTable {
    struct Entry {
        let pid: Int32
        let parent: Int32
        let command: String
    }

    let entries: [Entry]

    init() {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        self.entries = names.compactMap { name in
            guard let pid = Int32(name), let stat = FileManager.default.contents(atPath: "/proc/\(name)/stat"),
                let line = FileManager.default.contents(atPath: "/proc/\(name)/cmdline"), !line.isEmpty
            else { return nil }
            let fields = String(decoding: stat, as: UTF8.self).split(separator: ")").last?.split(separator: " ") ?? []
            guard fields.count > 2, fields[0] != "Z", let parent = Int32(fields[1]) else { return nil }
            return Entry(
                pid: pid, parent: parent, command: String(decoding: line.map { $0 == 0 ? 32 : $0 }, as: UTF8.self))
        }
    }

    func matching(_ text: String) -> [Entry] { self.entries.filter { $0.command.contains(text) } }

    func children(of pid: Int32) -> [Entry] { self.entries.filter { $0.parent == pid } }

    /// The youngest descendant: behind launcher and namespace init the program itself.
    func leaf(below pid: Int32) -> Entry? {
        var current: Entry?
        var next = self.children(of: pid).first
        while let entry = next {
            current = entry
            next = self.children(of: entry.pid).first
        }
        return current
    }
}
