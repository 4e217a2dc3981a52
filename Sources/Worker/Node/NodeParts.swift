internal import Agents
internal import CoreMetrics
internal import Cryptography
internal import Domain
internal import Intake
internal import Jobs
internal import Logging
internal import NIOPosix
internal import Policy
internal import Sandboxing
internal import Supervision

/// Makes the parts of a node from its dependencies; `Node.init` calls each function once. Starts nothing.
struct NodeParts {
    let stormGuard: StormGuard
    let registry: RunRegistry
    private let configuration: NodeConfiguration
    private let policy: PolicyEngine
    private let access: QueueAccess
    private let incarnation: Incarnation
    private let processID: Int32
    private let group: MultiThreadedEventLoopGroup
    private let metrics: any MetricsFactory
    private let logger: Logger
    private let clock: any Clock<Duration>
    private let elapsed: @Sendable () -> Duration
    private let adjust: @Sendable (ChildSpecification) -> ChildSpecification
    private let environment: SupervisionEnvironment
    private let jobMetrics: JobMetrics
    private let supervisors: AgentSupervisors
    private let agents: AgentRegistry
    let launchPause = LaunchPause()

    init(
        configuration: NodeConfiguration, policy: PolicyEngine, access: QueueAccess, incarnation: Incarnation,
        processID: Int32, group: MultiThreadedEventLoopGroup, metrics: any MetricsFactory, logger: Logger,
        clock: any Clock<Duration>, elapsed: @escaping @Sendable () -> Duration,
        adjust: @escaping @Sendable (ChildSpecification) -> ChildSpecification
    ) {
        self.configuration = configuration
        self.policy = policy
        self.access = access
        self.incarnation = incarnation
        self.processID = processID
        self.group = group
        self.metrics = metrics
        self.logger = logger
        self.clock = clock
        self.elapsed = elapsed
        self.adjust = adjust
        self.stormGuard = StormGuard(limit: configuration.stormLimit, now: elapsed)
        self.environment = SupervisionEnvironment(
            logger: logger, metrics: metrics, stormGuard: self.stormGuard, clock: clock, now: elapsed)
        self.registry = RunRegistry(capacity: configuration.slots, metrics: metrics)
        self.jobMetrics = JobMetrics(factory: metrics)
        self.supervisors = AgentSupervisors(environment: self.environment)
        self.agents = AgentRegistry(metrics: metrics)
    }

    private var identity: NodeIdentity {
        NodeIdentity(node: self.configuration.node, incarnation: self.incarnation, owner: self.configuration.owner)
    }

    func makeLanes() -> [NodeLane] {
        self.access.lanes.map { lane in
            NodeLane(
                lane, of: self.access, identity: self.identity, registry: self.registry, jobMetrics: self.jobMetrics,
                logger: self.logger, clock: self.clock, elapsed: self.elapsed)
        }
    }

    func makeWorkspaces(lanes: [NodeLane]) -> WorkspaceSet {
        let pipeline = JobPipeline(
            node: self.configuration.node, policy: self.policy, handlers: self.makeHandlers(lanes: lanes),
            keys: self.access.keys, digester: self.access.digester, queueClock: self.access.clock,
            writers: CompletionWriters(lanes.map(\.writer)), registry: self.registry, retries: RetryPolicy(),
            clock: self.clock, metrics: self.jobMetrics, logger: self.logger)
        return WorkspaceSet(
            pipeline: pipeline, concurrency: self.configuration.workspaceConcurrency,
            capacity: self.configuration.slots, environment: self.environment, adjust: self.adjust)
    }

    private func makeHandlers(lanes: [NodeLane]) -> ActionHandlers {
        let commands = CommandRunner(configuration: self.configuration.agents, processID: self.processID)
        let runner = AgentRunner(
            configuration: self.configuration.agents, commands: commands, group: self.group,
            environment: self.environment, supervisors: self.supervisors, census: self.agents,
            token: { try Digests.randomBytes(count: 32) })
        return ActionHandlers(
            bundle: self.policy.bundle, commands: commands, agents: runner,
            workspaces: self.configuration.agents.workspaces, epoch: max(1, self.incarnation.value),
            pause: self.launchPause, copier: self.configuration.copier,
            report: Self.progressReporter(lanes, keys: self.access.keys))
    }

    /// Writes the progress of jobs to their lanes. Progress that cannot be written now is dropped: the next report
    /// replaces it, and no part of the node depends on it.
    private static func progressReporter(
        _ lanes: [NodeLane], keys: WorkspaceKeyring
    ) -> @Sendable (JobProgress, Job) async -> Void {
        { progress, job in
            let lease = lanes[Lane.of(job.workspace, among: lanes.count).number].lease
            do {
                let key = try await keys.currentKey(of: job.workspace)
                let sealed = try JobEnvelope.seal(progress, of: job.id, in: job.workspace, with: key)
                try await lease.noteProgress(sealed, of: job.id)
            } catch { return }
        }
    }

    func makeConsumers(lanes: [NodeLane], workspaces: WorkspaceSet) -> [Consumer] {
        let (access, stormGuard, gate) = (self.access, self.stormGuard, self.configuration.agents.gate)
        let launchPause = self.launchPause
        return lanes.map { lane in
            Consumer(
                lease: lane.lease, registry: self.registry, rejoined: { try await access.refresh() },
                share: self.configuration.workspaceConcurrency,
                pauseReason: { stormGuard.pauseReason ?? gate?.pauseReason ?? launchPause.reason },
                dispatch: { await workspaces.dispatch($0) }, metrics: self.jobMetrics, logger: self.logger,
                clock: self.clock)
        }
    }

    /// The kernel's reports of processes that take an agents' user, where it gives any to this node.
    private func userChanges() -> UserChanges? {
        guard let users = self.configuration.agents.plan.host.subordinates?.users else { return nil }
        do { return try UserChanges(of: users) } catch {
            self.logger.info(
                "the kernel reports no process events to this node; the watch looks once a second",
                metadata: ["reason": "\(error)"])
            return nil
        }
    }

    private func makeArchiver() -> AuditArchiver? {
        self.configuration.archive.map { archive in
            AuditArchiver(
                configuration: archive, identity: self.identity, lanes: self.access.lanes,
                files: self.configuration.agents.files, queueClock: self.access.clock, metrics: self.metrics,
                logger: self.logger)
        }
    }

    func makeTree(lanes: [NodeLane], consumers: [Consumer], workspaces: WorkspaceSet) -> NodeTree {
        let store = self.access.store
        let scheduler = Scheduler(
            queue: store, intake: Intake(self.access, policy: self.policy),
            schedules: Array(self.policy.bundle.schedules.values), clock: self.clock, logger: self.logger)
        let watch = SecurityWatch(
            scan: SecurityScan(
                configuration: self.configuration.agents, group: self.group, changes: self.userChanges()),
            census: self.agents,
            store: store, registry: self.registry, response: self.configuration.response,
            node: self.configuration.node.name, metrics: self.metrics, logger: self.logger, clock: self.clock)
        return NodeTree(
            lanes: lanes, consumers: consumers, gauges: QueueGauges(queue: store, factory: self.metrics),
            archiver: self.makeArchiver(), copier: self.configuration.copier, scheduler: scheduler, watch: watch,
            launchPause: self.launchPause,
            launchCheck: LaunchCheck(configuration: self.configuration.agents, processID: self.processID),
            registry: self.registry, agents: self.supervisors, workspaces: workspaces,
            environment: self.environment, adjust: self.adjust)
    }
}
