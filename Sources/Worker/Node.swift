internal import Agents
internal import Audit
package import CoreMetrics
package import Cryptography
package import Domain
internal import Jobs
package import Logging
package import NIOPosix
package import Policy
internal import Redis
package import Supervision

/// A worker node: the supervision tree of everything that lives as long as the process, and its drain.
package actor Node {
    private let configuration: NodeConfiguration
    private let commands: RedisClient
    private let blocking: RedisClient
    private let registry: RunRegistry
    private let writer: CompletionWriter
    private let consumer: Consumer
    private let keeper: LeaseKeeper
    private let workspaces: WorkspaceSet
    private let lease: NodeLease
    private let queueGauges: QueueGauges
    private let logger: Logger
    private let metrics: any MetricsFactory
    private let clock: any Clock<Duration>
    private var isDraining = false
    private var serverProblems: [String] = []
    private var tree: Supervisor?

    /// Wires the parts; starts nothing. `incarnation` must be new for each process.
    package init(
        configuration: NodeConfiguration, policy: PolicyEngine, master: SealingKey, incarnation: Incarnation,
        processID: Int32, group: MultiThreadedEventLoopGroup, metrics: any MetricsFactory, logger: Logger,
        clock: any Clock<Duration> = ContinuousClock(), now: @escaping @Sendable () -> UInt64
    ) throws {
        func client(_ role: String) -> RedisClient {
            var redis = configuration.redis
            redis.clientName = role
            return RedisClient(configuration: redis, group: group, logger: logger, metrics: metrics)
        }
        self.configuration = configuration
        self.commands = client("commands")
        self.blocking = client("blocking")
        self.logger = logger
        self.metrics = metrics
        self.clock = clock
        let queue = RedisStreamJobQueue(client: self.commands, limits: configuration.limits)
        self.lease = NodeLease(
            queue: queue, node: configuration.node, incarnation: incarnation, owner: configuration.owner)
        self.registry = RunRegistry(capacity: configuration.slots, metrics: metrics)
        self.writer = CompletionWriter(lease: self.lease, logger: logger, clock: clock)
        let keys = WorkspaceKeyring(client: self.commands, master: master)
        let jobMetrics = JobMetrics(factory: metrics)
        let handlers = ActionHandlers(
            bundle: policy.bundle, commands: CommandRunner(configuration: configuration.agents, processID: processID),
            agents: AgentRunner(
                configuration: configuration.agents, group: group, logger: logger, metrics: metrics,
                census: AgentCensus(metrics: metrics), token: { try Digests.randomBytes(count: 32) }),
            workspaces: configuration.agents.workspaces, epoch: max(1, incarnation.value))
        let pipeline = JobPipeline(
            node: configuration.node, policy: policy, handlers: handlers, keys: keys,
            digester: ParamsDigester(key: try master.derived(for: "orchestra/params-digest/1")), writer: self.writer,
            registry: self.registry, retries: RetryPolicy(), clock: clock, now: now, metrics: jobMetrics, logger: logger
        )
        let workspaces = try WorkspaceSet(
            pipeline: pipeline, concurrency: configuration.workspaceConcurrency, capacity: configuration.slots,
            logger: logger, metrics: metrics)
        self.workspaces = workspaces
        self.consumer = Consumer(
            lease: self.lease, blocking: self.blocking, registry: self.registry, keys: keys,
            share: configuration.workspaceConcurrency, dispatch: { await workspaces.dispatch($0) }, metrics: jobMetrics,
            logger: logger, clock: clock)
        self.keeper = LeaseKeeper(
            lease: self.lease, registry: self.registry, metrics: jobMetrics, logger: logger, clock: clock,
            elapsed: Supervisor.monotonicNow)
        self.queueGauges = QueueGauges(queue: queue, factory: metrics)
    }

    /// Runs until `stop` has drained the node or the restart budget is spent; then throws `SupervisionError`.
    /// `first` are children that come up before everything and go down last, such as the probe port.
    package func run(first: [ChildSpecification]) async throws {
        let tree = try Supervisor(
            // Each child has a backoff, so five restarts in a minute mean that restarting does not help.
            Supervisor.Configuration(name: "node", intensity: 5, period: .seconds(60)),
            children: first + self.children, logger: self.logger, metrics: self.metrics)
        self.tree = tree
        try await tree.run()
    }

    /// Stops: no new claims, running jobs finish within the grace, the rest is handed back. `run` is to be
    /// cancelled when this returns.
    package func stop(grace: Duration? = nil) async {
        guard !self.isDraining else { return await self.hurry() }
        self.isDraining = true
        let grace = grace ?? self.configuration.grace
        let running = await self.registry.count
        self.logger.notice("draining", metadata: ["grace": "\(grace)", "jobs.count": "\(running)"])
        await self.consumer.drain()
        await self.workspaces.drain()
        await self.waitUntilIdle(atMost: grace)
        if await self.registry.count > 0 {
            await self.hurry()
            await self.waitUntilIdle(atMost: self.configuration.agents.stopTimeout + .seconds(5))
        }
        let left = await self.registry.count
        do { try await self.lease.leave() } catch {
            self.logger.warning("the node could not say good-bye; its lease runs out", error: error)
        }
        self.logger.notice("drained", metadata: ["jobs.left": "\(left)"])
    }

    /// Ends the running jobs now; they are handed back.
    package func hurry() async { await self.registry.cancelAll(.drain) }

    private func waitUntilIdle(atMost limit: Duration) async {
        let clock = self.clock
        let registry = self.registry
        let guardian = Task {  // awaited in effect: it only bounds the wait below
            try await clock.sleep(for: limit)
            await registry.stopWaitingUntilIdle()
        }
        await registry.waitUntilIdle()
        guardian.cancel()
    }

    private var children: [ChildSpecification] {
        let backoff = RestartBackoff(first: .milliseconds(100), longest: .seconds(10), resetAfter: .seconds(120))
        let (commands, blocking, writer) = (self.commands, self.blocking, self.writer)
        let (workspaces, consumer, keeper, gauges) = (self.workspaces, self.consumer, self.keeper, self.queueGauges)
        return [
            ChildSpecification(id: "redis-commands", backoff: backoff) { ready in
                ready()
                await commands.run()
            },
            ChildSpecification(id: "redis-blocking", backoff: backoff) { ready in
                ready()
                await blocking.run()
            },
            ChildSpecification(id: "server-check", backoff: backoff) { ready in
                ready()
                try await self.checkServer()
            },
            ChildSpecification(id: "completions", backoff: backoff) { ready in
                ready()
                await writer.run()
            },
            ChildSpecification(id: "lease", backoff: backoff) { ready in try await keeper.run(ready: ready) },
            ChildSpecification(id: "workspaces", shutdown: .timeout(.seconds(30))) { ready in
                try await workspaces.run(ready: ready)
            },
            ChildSpecification(id: "consumer", backoff: backoff) { ready in try await consumer.run(ready: ready) },
            ChildSpecification(id: "queue-gauges", backoff: backoff) { ready in
                ready()
                try await gauges.run()
            },
        ]
    }

    /// Looks each minute whether this Redis may hold jobs.
    private func checkServer() async throws {
        while true {
            do {
                let facts = try await RedisServerFacts(of: self.commands)
                if facts.problems != self.serverProblems {
                    self.serverProblems = facts.problems
                    for problem in facts.problems {
                        self.logger.error("Redis is not fit to hold jobs", metadata: ["reason": "\(problem)"])
                    }
                }
            } catch is RedisError {
                // The link says that Redis is away; nothing more is known here.
            }
            try await self.clock.sleep(for: .seconds(60))
        }
    }
}

extension Node: HealthSource {
    package func liveness() async -> [HealthCheck] {
        let children = await self.tree?.children ?? []
        let leaked = children.filter { $0.state == .leaked }.map(\.id)
        return [
            HealthCheck(
                "supervision", isHealthy: leaked.isEmpty,
                detail: leaked.isEmpty ? "every child answers" : "left behind: \(leaked.joined(separator: ", "))")
        ]
    }

    package func readiness() async -> [HealthCheck] {
        let state = await self.commands.state
        let redis: HealthCheck
        switch state {
        case .connected: redis = HealthCheck("redis", isHealthy: true, detail: self.configuration.redis.displayName)
        case .connecting(let reason):
            redis = HealthCheck("redis", isHealthy: false, detail: reason ?? "not connected yet")
        case .stopped: redis = HealthCheck("redis", isHealthy: false, detail: "the connection was closed")
        }
        let problem = await self.consumer.problem
        let hasJoined = await self.consumer.hasJoined
        return await self.liveness() + [
            redis,
            HealthCheck(
                "redis-settings", isHealthy: self.serverProblems.isEmpty,
                detail: self.serverProblems.first ?? "fit to hold jobs"),
            HealthCheck(
                "claims", isHealthy: hasJoined && problem == nil,
                detail: problem ?? (hasJoined ? "the node fetches jobs" : "the node has not joined the queue yet")),
            HealthCheck(
                "drain", isHealthy: !self.isDraining,
                detail: self.isDraining ? "the node is stopping and takes no jobs" : "not stopping"),
        ]
    }

    package func startup() async -> [HealthCheck] {
        let hasJoined = await self.consumer.hasJoined
        return [
            HealthCheck(
                "joined", isHealthy: hasJoined,
                detail: hasJoined ? "the node has joined the queue" : "waiting for Redis")
        ]
    }
}
