import Agents
import Cryptography
import Domain
import Jobs
import JobsModel
import Logging
import NIOPosix
import Policy
import Redaction
import Sandboxing
import Supervision
import Synchronization
import Telemetry
import TestSupport
import Testing

@testable import Worker

/// The parts of a node that work jobs, over a queue in memory. Time stands still until the test moves `clock`.
///
/// Commands wait in `gate`, which is not open yet, until their run is cancelled; after `gate.close` they fail. No process
/// is ever started.
struct WorkerBench: Sendable {
    /// Milliseconds since the epoch at which the queue's time begins.
    static let start: UInt64 = 1_800_000_000_000

    let clock: VirtualClock
    let queue: InMemoryJobQueue
    let keys: WorkspaceKeyring
    let lease: NodeLease
    let metrics = MetricsRegistry()
    let jobMetrics: JobMetrics
    let registry: RunRegistry
    let writer: CompletionWriter
    let gate = SandboxGate()
    let launchPause = LaunchPause()
    let log = LogLines()
    let logger: Logger
    let policy: PolicyEngine
    let pipeline: JobPipeline
    let agents: AgentConfiguration
    private let requests = Counter()

    private final class Counter: Sendable {
        private let value = Atomic<UInt64>(0)
        func next() -> UInt64 { self.value.add(1, ordering: .relaxed).newValue }
    }

    static func with(
        limits: QueueLimits = QueueLimits(), capacity: Int = 100, _ body: (WorkerBench) async throws -> Void
    ) async throws {
        try await withDirectory { try await body(try WorkerBench(directory: $0, limits: limits, capacity: capacity)) }
    }

    private init(directory: String, limits: QueueLimits, capacity: Int) throws {
        let clock = VirtualClock()
        self.clock = clock
        let now = Self.time(of: clock)
        self.queue = InMemoryJobQueue(limits: limits, now: now, clock: clock)
        let master = try SealingKey(bytes: [UInt8](repeating: 7, count: 32))
        self.keys = WorkspaceKeyring(queue: self.queue, master: master)
        self.lease = NodeLease(queue: self.queue, identity: try Self.identity())
        self.jobMetrics = JobMetrics(factory: self.metrics)
        self.registry = RunRegistry(capacity: capacity, metrics: self.metrics)
        self.logger = self.log.logger
        self.writer = CompletionWriter(lease: self.lease, registry: self.registry, logger: self.logger, clock: clock)
        self.policy = try Self.makePolicy()
        self.agents = Self.agents(in: directory, gate: self.gate)
        let commands = CommandRunner(configuration: self.agents, processID: 1)
        let environment = SupervisionEnvironment(logger: self.logger, clock: clock, now: { clock.now.offset })
        let runner = AgentRunner(
            configuration: self.agents, commands: commands, group: .singleton, environment: environment,
            supervisors: AgentSupervisors(environment: environment), census: AgentRegistry(metrics: self.metrics),
            token: { [1] })
        self.pipeline = JobPipeline(
            node: try NodeID("n1"), policy: self.policy,
            handlers: ActionHandlers(
                bundle: self.policy.bundle, commands: commands, agents: runner, workspaces: directory + "/w", epoch: 1,
                pause: self.launchPause),
            keys: self.keys, digester: ParamsDigester(key: [1]),
            queueClock: QueueClock(elapsed: { clock.now.offset }, wall: now), writers: CompletionWriters([self.writer]),
            registry: self.registry, retries: RetryPolicy(jitter: { 1 }), clock: clock,
            metrics: self.jobMetrics, logger: self.logger)
    }

    /// Lets the runs of this delivery fail: the node cannot launch programs, and has returned the job as often as it may.
    func failLaunches(of delivery: Delivery) throws {
        self.gate.close("closed")
        for _ in 0..<LaunchPause.returnsPerJob {
            _ = self.launchPause.launchFailed(try #require(delivery.jobID), "closed")
        }
    }

    static func identity(_ node: String = "n1", _ incarnation: UInt64 = 1) throws -> NodeIdentity {
        NodeIdentity(node: try NodeID(node), incarnation: Incarnation(value: incarnation), owner: "here")
    }

    /// The queue's time by a clock: milliseconds since the epoch.
    static func time(of clock: VirtualClock) -> @Sendable () -> UInt64 {
        { Self.start + UInt64(clock.now.offset.milliseconds) }
    }

    var now: UInt64 { Self.time(of: self.clock)() }

    private static func agents(in directory: String, gate: SandboxGate) -> AgentConfiguration {
        let host = SandboxHost(
            launcher: nil, shim: "/none", program: { _ in nil }, controlGroups: ControlGroups(hierarchies: []))
        var agents = AgentConfiguration(
            root: directory + "/a", workspaces: directory + "/w", shim: "/none", tmux: "/none",
            plan: SandboxPlan(host: host, tier: .namespaces, slots: UserSlots(path: directory + "/users")),
            orphanGrace: .seconds(10), secrets: SecretStore(root: directory + "/s"))
        agents.gate = gate
        return agents
    }

    private static func makePolicy() throws -> PolicyEngine {
        func action(_ name: String, _ effect: String, _ handler: String, attempts: Int = 3) -> PolicyFile {
            let text = """
                {"name":"\(name)","summary":"x","effect":"\(effect)","handler":\(handler),"timeout_seconds":60,
                "max_attempts":\(attempts),"params":{"type":"object","properties":{"note":{"type":"string"}},
                "additionalProperties":false}}
                """
            return PolicyFile(folder: "actions", name: name + ".json", bytes: Array(text.utf8))
        }
        let (none, command) = (#"{"kind":"none"}"#, #"{"kind":"command","argv":["/bin/true"]}"#)
        let bundle = try PolicyBundle(files: [
            PolicyFile(
                folder: "sandbox", name: "default.json",
                bytes: Array(#"{"name":"default","summary":"x","environment":{}}"#.utf8)),
            action("queue.noop", "read", none), action("site.build", "write", command),
            action("site.once", "write", command, attempts: 1), action("mail.send", "external", command),
            action("not.allowed", "read", none),
        ])
        return PolicyEngine(
            bundle: bundle, allowed: try AllowList("queue.noop,site.build,site.once,mail.send,no.file"))
    }

    // MARK: - Jobs

    /// Stores a job as if its submitter had been allowed to ask for it.
    @discardableResult
    func submit(
        _ action: String = "queue.noop", in workspace: String = "acme", params: String = "{}", deadline: UInt64? = nil,
        tags: [String] = [], isRepeatable: Bool? = nil
    ) async throws -> JobID {
        let number = self.requests.next()
        let id = JobID(milliseconds: self.now, randomHigh: 1, randomLow: number)
        let job = Job(
            id: id, workspace: try WorkspaceID(workspace), action: try ActionName(action),
            requestID: RequestID(uuid: UUIDBytes(high: 1, low: number)), actor: "key:1", submittedAt: self.now,
            params: Array(params.utf8), deadline: deadline, tags: try tags.map { try JobTag($0) },
            isRepeatable: isRepeatable)
        let results = try await self.queue.submit([Submission(job: job, auditEvent: [])], keys: self.keys)
        try #require(results == [.accepted(id)])
        return id
    }

    /// Joins and claims what there is, and notes it as held.
    func claim(_ most: Int = 1000) async throws -> [Delivery] {
        var deliveries = try await self.lease.join()
        deliveries += try await self.lease.claim(ClaimRequest(most: most, quantum: 1000)).deliveries
        return await self.registry.admit(deliveries)
    }

    /// Stores a job and claims it.
    func deliver(
        _ action: String = "queue.noop", params: String = "{}", isRepeatable: Bool? = nil
    ) async throws -> Delivery {
        try await self.submit(action, params: params, isRepeatable: isRepeatable)
        return try #require(try await self.claim().first)
    }

    /// Processes a delivery and writes its completion.
    func process(_ delivery: Delivery) async {
        await self.pipeline.process(delivery)
        await self.write()
    }

    /// One attempt to write what completions there are.
    func write() async {
        // A writer that is cancelled before it begins tries once and returns.
        let writer = self.writer
        await withDiscardingTaskGroup { group in
            group.cancelAll()
            group.addTask { await writer.run() }
        }
    }

    /// Runs a delivery whose command waits until `body` ends it, then writes its completion.
    func interrupt(_ delivery: Delivery, _ body: () async throws -> Void) async throws {
        async let processed: Void = self.pipeline.process(delivery)
        // The timer of the run sleeps from its beginning on.
        await self.clock.waitForSleeper()
        try await body()
        await processed
        await self.write()
    }

    func record(_ delivery: Delivery) async throws -> JobRecord {
        let job = try #require(delivery.jobID)
        return try #require(await self.queue.job(job, in: delivery.workspace))
    }

    func state(_ delivery: Delivery) async throws -> JobState { try await self.record(delivery).state }

    /// The rows of the audit trail.
    func audit() async throws -> [JSONValue] {
        try await self.queue.audit.filter { !$0.isEmpty }.map { try JSONParser.parse($0) }
    }

    /// The value of a metric without labels, or with these; nil when it was never recorded.
    func metric(_ name: String, _ labels: String = "") -> String? {
        let lines = self.metrics.render().split(separator: "\n")
        return lines.first { $0.hasPrefix("\(name)\(labels) ") }.map {
            String($0.dropFirst(name.count + labels.count + 1))
        }
    }
}

/// What was logged, a line each.
final class LogLines: Sendable {
    private let lines = Mutex<[String]>([])

    var logger: Logger {
        let handler = JSONLogHandler(component: "test", level: .debug, now: { "" }) { line in
            self.lines.withLock { $0.append(String(decoding: line, as: UTF8.self)) }
        }
        return Logger(label: "test") { _ in handler }
    }

    /// How many lines contain this text.
    func count(_ text: String) -> Int { self.lines.withLock { lines in lines.count { $0.contains(text) } } }
}

/// Lets other tasks run until the condition holds. For what is done soon and announced nowhere.
func until(_ condition: () async throws -> Bool) async rethrows {
    while try await !condition() { await Task.yield() }
}
