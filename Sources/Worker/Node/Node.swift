internal import Agents
internal import Audit
package import CoreMetrics
internal import Cryptography
internal import Intake
package import Domain
package import Jobs
package import Logging
package import NIOPosix
package import Policy
internal import Redis
package import Supervision

/// A worker node: the supervision tree of everything that lives as long as the process, and its drain.
package actor Node {
    private let configuration: NodeConfiguration
    private let lanes: [NodeLane]
    private let registry: RunRegistry
    private let consumers: [Consumer]
    private let workspaces: WorkspaceSet
    private let stormGuard: StormGuard
    private let supervisors: NodeTree
    private let logger: Logger
    private let clock: any Clock<Duration>
    private var isDraining = false
    private var root: Supervisor?

    /// Wires the parts; starts nothing. `access` is this node's, with connections of its own. `incarnation` must be new for each process; `elapsed` tells the time of
    /// `clock`; `adjust` lets tests make the tree's children fail or hang.
    package init(
        configuration: NodeConfiguration, policy: PolicyEngine, access: QueueAccess, incarnation: Incarnation,
        processID: Int32, group: MultiThreadedEventLoopGroup, metrics: any MetricsFactory, logger: Logger,
        clock: any Clock<Duration> = ContinuousClock(),
        elapsed: @escaping @Sendable () -> Duration = SupervisionEnvironment.monotonicNow,
        adjust: @escaping @Sendable (ChildSpecification) -> ChildSpecification = { $0 }
    ) throws {
        self.configuration = configuration
        self.logger = logger
        self.clock = clock
        let stormGuard = StormGuard(limit: configuration.stormLimit, now: elapsed)
        self.stormGuard = stormGuard
        let environment = SupervisionEnvironment(
            logger: logger, metrics: metrics, stormGuard: stormGuard, clock: clock, now: elapsed)
        let agents = AgentSupervisors(environment: environment)
        let registry = RunRegistry(capacity: configuration.slots, metrics: metrics)
        self.registry = registry
        let jobMetrics = JobMetrics(factory: metrics)
        let identity = NodeIdentity(
            node: configuration.node, incarnation: incarnation, owner: configuration.owner)
        self.lanes = access.lanes.map { lane in
            NodeLane(
                lane, of: access, identity: identity, registry: registry, jobMetrics: jobMetrics, logger: logger,
                clock: clock, elapsed: elapsed)
        }
        let census = AgentRegistry(metrics: metrics)
        let commands = CommandRunner(configuration: configuration.agents, processID: processID)
        let handlers = ActionHandlers(
            bundle: policy.bundle, commands: commands,
            agents: AgentRunner(
                configuration: configuration.agents, commands: commands, group: group, environment: environment,
                supervisors: agents,
                census: census, token: { try Digests.randomBytes(count: 32) }),
            workspaces: configuration.agents.workspaces, epoch: max(1, incarnation.value),
            report: Self.reporter(self.lanes))
        let pipeline = JobPipeline(
            node: configuration.node, policy: policy, handlers: handlers, keys: access.keys,
            digester: access.digester, queueClock: access.clock,
            writers: CompletionWriters(self.lanes.map(\.writer)),
            registry: self.registry, retries: RetryPolicy(), clock: clock,
            metrics: jobMetrics, logger: logger
        )
        let workspaces = WorkspaceSet(
            pipeline: pipeline, concurrency: configuration.workspaceConcurrency, capacity: configuration.slots,
            environment: environment, adjust: adjust)
        self.workspaces = workspaces
        let gate = configuration.agents.gate
        self.consumers = self.lanes.map { lane in
            Consumer(
                lease: lane.lease, registry: registry, rejoined: { try await access.refresh() },
                share: configuration.workspaceConcurrency,
                pauseReason: { stormGuard.isStorm ? Self.stormText(stormGuard) : gate?.pauseReason },
                dispatch: { await workspaces.dispatch($0) }, metrics: jobMetrics, logger: logger, clock: clock)
        }
        let scheduler = Scheduler(
            queue: access.store, intake: Intake(access, policy: policy),
            schedules: Array(policy.bundle.schedules.values), clock: clock, logger: logger)
        let watch = SecurityWatch(
            scan: SecurityScan(configuration: configuration.agents, group: group), census: census, store: access.store,
            registry: registry,
            response: configuration.response, node: configuration.node.name, metrics: metrics, logger: logger,
            clock: clock)
        self.supervisors = NodeTree(
            lanes: self.lanes, consumers: self.consumers, gauges: QueueGauges(queue: access.store, factory: metrics),
            scheduler: scheduler, watch: watch, agents: agents, workspaces: workspaces, environment: environment,
            adjust: adjust)
    }

    /// Notes how far jobs are, each in its lane. Nobody waits for it, and what cannot be noted now is not.
    private static func reporter(
        _ lanes: [NodeLane]
    ) -> @Sendable (JobProgress, Job) async -> Void {
        { progress, job in
            let lease = lanes[Lane.of(job.workspace, among: lanes.count).number].lease
            do { try await lease.noteProgress(progress, of: job.id) } catch { return }
        }
    }

    private static func stormText(_ guardian: StormGuard) -> String {
        "more than \(guardian.limit) restarts within a minute: the node takes no more work until it has calmed down"
    }

    /// Runs until `stop` has drained the node and the task is cancelled. Throws `SupervisionError` when the restart
    /// budget is spent, and when trying again cannot help. `telemetry` are the node's windows, which come up
    /// first and go down last; `server` is a Redis of its own.
    package func run(
        telemetry: [ChildSpecification] = [], server: [ChildSpecification] = [],
        api: [ChildSpecification] = []
    ) async throws {
        let root = try self.supervisors.root(telemetry: telemetry, server: server, api: api)
        self.root = root
        try await root.run()
        guard !Task.isCancelled else { return }
        throw SupervisionError(
            code: .gaveUp, message: await self.problem ?? "the node ended without being told to")
    }

    /// Why some lane is not fetched from now.
    private var problem: String? {
        get async {
            for consumer in self.consumers {
                if let problem = await consumer.problem { return problem }
            }
            return nil
        }
    }

    private var hasJoined: Bool {
        get async {
            for consumer in self.consumers where await !consumer.hasJoined { return false }
            return true
        }
    }

    /// The gate for programs has opened: whoever slept on it fetches.
    package nonisolated func gateOpened() async {
        for lane in self.lanes { await self.registry.wake(lane: lane.lease.lane.number) }
    }

    /// The node's stable name.
    package nonisolated var name: String { self.configuration.node.name }

    var restartsLastMinute: Int { self.stormGuard.count }

    /// The supervision tree as it is now; nil before `run`.
    package var tree: SupervisionTree? {
        get async { await self.root?.tree() }
    }

    /// Stops: no new claims, running jobs finish within the grace, the rest is handed back. `run` is to be
    /// cancelled when this returns.
    package func stop(grace: Duration? = nil) async {
        guard !self.isDraining else { return await self.cancelRunningJobs() }
        self.isDraining = true
        let grace = grace ?? self.configuration.grace
        let running = await self.registry.count
        self.logger.notice("draining", metadata: ["grace": "\(grace)", "jobs.count": "\(running)"])
        for consumer in self.consumers { await consumer.drain() }
        await self.workspaces.drain()
        await self.waitUntilIdle(atMost: grace)
        if await self.registry.count > 0 {
            await self.cancelRunningJobs()
            await self.waitUntilIdle(atMost: self.configuration.agents.stopTimeout + .seconds(5))
        }
        let left = await self.registry.count
        await self.leave()
        self.logger.notice("drained", metadata: ["jobs.left": "\(left)"])
    }

    /// Gives the node's name up in all lanes at once: a lane whose Redis is away costs one call's deadline, not one for
    /// each lane.
    private func leave() async {
        await withTaskGroup(of: Void.self) { group in
            for lane in self.lanes {
                group.addTask {
                    do { try await lane.lease.leave() } catch {
                        self.logger.warning(
                            "the node could not give its name up; its lease expires instead", error: error)
                    }
                }
            }
        }
    }

    /// Ends the running jobs now; they are handed back. Without Redis there is nothing to wait for then.
    package func cancelRunningJobs() async {
        await self.registry.cancelAll(.drain)
        for lane in self.lanes where await lane.commands.state != .connected {
            await self.registry.stopWaitingUntilIdle()
        }
    }

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
}

extension Node: HealthSource {
    /// That the tree answers at all; what is wrong in it is a matter of readiness, since killing the process would
    /// kill running jobs.
    package func liveness() async -> [HealthCheck] {
        _ = await self.root?.isAtRest
        return [HealthCheck("supervision", isHealthy: true, detail: "the supervisors answer")]
    }

    package func readiness() async -> [HealthCheck] {
        let redis = await self.redisCheck
        let problem = await self.problem
        let hasJoined = await self.hasJoined
        var problems: [String] = []
        for lane in self.lanes { problems += await lane.serverCheck.problems }
        let isStorm = self.stormGuard.isStorm
        let leaked = await self.tree?.leaked ?? []
        var checks: [HealthCheck] = []
        if let gate = self.configuration.agents.gate { checks.append(gate.check) }
        return checks + [
            HealthCheck(
                "children", isHealthy: leaked.isEmpty,
                detail: leaked.isEmpty
                    ? "none is left behind"
                    : "left behind: \(leaked.joined(separator: ", ")); a restart of the node clears it"),
            redis,
            HealthCheck(
                "redis-settings", isHealthy: problems.isEmpty, detail: problems.first ?? "fit to hold jobs"),
            HealthCheck(
                "restarts", isHealthy: !isStorm,
                detail: isStorm ? Self.stormText(self.stormGuard) : "no storm of restarts"),
            HealthCheck(
                "claims", isHealthy: hasJoined && problem == nil,
                detail: problem ?? (hasJoined ? "the node fetches jobs" : "the node has not joined the queue yet")),
            HealthCheck(
                "drain", isHealthy: !self.isDraining,
                detail: self.isDraining ? "the node is stopping and takes no jobs" : "not stopping"),
        ]
    }

    /// The first lane's Redis that is away, or that all are there.
    private var redisCheck: HealthCheck {
        get async {
            for lane in self.lanes {
                switch await lane.commands.state {
                case .connected: continue
                case .connecting(let reason):
                    return HealthCheck("redis", isHealthy: false, detail: reason ?? "not connected yet")
                case .stopped:
                    return HealthCheck("redis", isHealthy: false, detail: "the connection was closed")
                }
            }
            return HealthCheck("redis", isHealthy: true, detail: self.configuration.redis.displayName)
        }
    }

    package func startup() async -> [HealthCheck] {
        let hasJoined = await self.hasJoined
        return [
            HealthCheck(
                "joined", isHealthy: hasJoined,
                detail: hasJoined ? "the node has joined the queue" : "waiting for Redis")
        ]
    }
}
