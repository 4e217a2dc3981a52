internal import Agents
internal import Domain
internal import Jobs
internal import Redis
internal import Supervision

/// The supervision tree of a node: its subsystems, restart strategies and budgets. The architecture page explains the
/// numbers.
///
/// The subsystems are rest-for-one, because each depends on those before it. The children of a subsystem are one-for-one,
/// because they share no state that the restart of one could invalidate.
struct NodeTree {
    let lanes: [NodeLane]
    let consumers: [Consumer]
    let gauges: QueueGauges
    let archiver: AuditArchiver?
    let copier: WorkspaceCopier?
    let scheduler: Scheduler
    let watch: SecurityWatch
    let launchPause: LaunchPause
    let launchCheck: LaunchCheck
    let registry: RunRegistry
    let agents: AgentSupervisors
    let workspaces: WorkspaceSet
    let environment: SupervisionEnvironment
    /// Lets tests make children fail or hang.
    let adjust: @Sendable (ChildSpecification) -> ChildSpecification

    /// The time without a heartbeat after which a child is considered hung. It is at least three times the longest wait of a
    /// loop, which is ten seconds.
    static let heartbeatLimit = Duration.seconds(30)

    /// Longer than a connection attempt or a last write can take (three seconds each), so that neither counts as leaked.
    static let shutdownTimeout = ShutdownPolicy.timeout(.seconds(12))

    /// The delays between restarts of a child.
    static let backoff = RestartBackoff(
        first: .milliseconds(100), longest: .seconds(10), resetAfter: .seconds(120))

    /// Makes the root supervisor; starts nothing. `telemetry` are the children that export logs and metrics, `server` is a
    /// Redis server that the node runs itself, `egress` the server of the sandboxes' listeners, `api` the listeners for
    /// clients. Their specifications include their own backoff. Throws `SupervisionError` when a specification is invalid.
    func root(
        telemetry: [ChildSpecification], server: [ChildSpecification], egress: [ChildSpecification],
        api: [ChildSpecification]
    ) throws -> Supervisor {
        try Supervisor(
            Supervisor.Configuration(
                name: "node", strategy: .restForOne, intensity: 3, period: .seconds(600), autoShutdown: .anySignificant),
            children: [
                self.subsystem("telemetry", intensity: 30, telemetry),
                self.subsystem("redis", intensity: 10, server + self.links),
                self.subsystem("queue", intensity: 10, self.queue),
                // More than its pauses allow, so that hostile bytes that end it again and again end nothing else.
            ] + (egress.isEmpty ? [] : [self.subsystem("egress", intensity: 100, egress)]) + [
                self.agents.child,
                self.workspaces.child,
                self.subsystem("consumers", intensity: 10, self.fetching, isSignificant: true),
            ] + (api.isEmpty ? [] : [self.subsystem("api", intensity: 10, api)]), environment: self.environment)
    }

    /// A supervisor of its own for some children. A significant subsystem ends the node when one of its significant children
    /// ends permanently.
    private func subsystem(
        _ id: String, intensity: Int, _ children: [ChildSpecification], isSignificant: Bool = false
    ) -> ChildSpecification {
        let environment = self.environment
        let children = children.map(self.adjust)
        let configuration = Supervisor.Configuration(
            name: id, intensity: intensity, period: .seconds(60), autoShutdown: isSignificant ? .anySignificant : .never
        )
        return ChildSpecification(
            id: id, restart: isSignificant ? .transient : .permanent, shutdown: .infinity, type: .supervisor,
            isSignificant: isSignificant, backoff: .subsystem
        ) { child in
            do {
                try await Supervisor(configuration, children: children, environment: environment).run(as: child)
            } catch let error as SupervisionError where error.code == .gaveUp {
                // In OTP a supervisor that gives up ends normally. Here it is a failure, so that a transient subsystem is
                // restarted.
                throw SubsystemFailure(description: error.message)
            }
        }
    }

    /// Two connections for each lane: one for commands, one for blocking reads.
    private var links: [ChildSpecification] {
        self.lanes.flatMap { lane in
            [self.link("commands" + lane.suffix, lane.commands), self.link("blocking" + lane.suffix, lane.blocking)]
        }
    }

    private func link(_ id: String, _ client: RedisClient) -> ChildSpecification {
        .redisLink(id, client, clock: self.environment.clock)
    }

    /// The maintenance of all lanes, schedules, the watch and the gauges.
    private var queue: [ChildSpecification] {
        let (gauges, scheduler, clock) = (self.gauges, self.scheduler, self.environment.clock)
        let schedules = ChildSpecification(
            id: "schedules", backoff: Self.backoff, heartbeatLimit: Self.heartbeatLimit
        ) { child in
            child.ready()
            try await scheduler.run(heartbeat: { child.heartbeat() })
        }
        let watch = self.watch
        return self.lanes.flatMap(self.queue(of:)) + [
            ChildSpecification(id: "watch", backoff: Self.backoff, heartbeatLimit: Self.heartbeatLimit) { child in
                child.ready()
                try await watch.run(heartbeat: { child.heartbeat() })
            },
            self.launches,
            ChildSpecification(id: "gauges", backoff: Self.backoff, heartbeatLimit: Self.heartbeatLimit) { child in
                child.ready()
                try await gauges.run(clock: clock, heartbeat: { child.heartbeat() })
            },
        ] + self.archive + self.copies + (scheduler.isNeeded ? [schedules] : [])
    }

    /// The child that archives the audit trail, where there is an archive. Its heartbeat also waits for a disk.
    private var archive: [ChildSpecification] {
        guard let archiver = self.archiver else { return [] }
        let clock = self.environment.clock
        return [
            ChildSpecification(
                id: "archive", shutdown: Self.shutdownTimeout, backoff: Self.backoff,
                heartbeatLimit: Self.heartbeatLimit * 2
            ) { child in
                child.ready()
                try await archiver.run(clock: clock, heartbeat: { child.heartbeat() })
            }
        ]
    }

    /// The child that copies the workspaces' files. A copy may take minutes, so it has no heartbeat; a drain waits for the last
    /// ones.
    private var copies: [ChildSpecification] {
        guard let copier = self.copier else { return [] }
        let clock = self.environment.clock
        return [
            ChildSpecification(id: "copies", shutdown: .timeout(.seconds(30)), backoff: Self.backoff) { child in
                child.ready()
                try await copier.run(clock: clock)
            }
        ]
    }

    /// Resumes the claims once a node that could not launch programs can.
    private var launches: ChildSpecification {
        let (pause, check, registry, clock) = (
            self.launchPause, self.launchCheck, self.registry, self.environment.clock
        )
        let lanes = self.lanes.map(\.lease.lane.number)
        // A check runs a program in a sandbox, which takes long on a node in trouble.
        return ChildSpecification(id: "launches", backoff: Self.backoff, heartbeatLimit: Self.heartbeatLimit * 4) {
            child in
            child.ready()
            try await pause.run(
                problem: { try await check.problem() }, clock: clock,
                resumed: { for lane in lanes { await registry.wake(lane: lane) } },
                heartbeat: { child.heartbeat() })
        }
    }

    /// The maintenance of one lane.
    private func queue(of lane: NodeLane) -> [ChildSpecification] {
        let (writer, keeper, check, lossCheck) = (lane.writer, lane.keeper, lane.serverCheck, lane.lossCheck)
        let clock = self.environment.clock
        return [
            ChildSpecification(
                id: "completions" + lane.suffix, shutdown: Self.shutdownTimeout, backoff: Self.backoff,
                heartbeatLimit: Self.heartbeatLimit
            ) { child in
                child.ready()
                await writer.run(heartbeat: { child.heartbeat() })
            },
            ChildSpecification(
                id: "lease" + lane.suffix, backoff: Self.backoff, heartbeatLimit: Self.heartbeatLimit
            ) { child in
                child.ready()
                try await keeper.run(heartbeat: { child.heartbeat() })
            },
            ChildSpecification(
                id: "server-check" + lane.suffix, backoff: Self.backoff, heartbeatLimit: ServerCheck.interval * 3
            ) { child in
                child.ready()
                try await check.run(clock: clock, heartbeat: { child.heartbeat() })
            },
            ChildSpecification(
                id: "loss-check" + lane.suffix, backoff: Self.backoff, heartbeatLimit: Self.heartbeatLimit
            ) { child in
                child.ready()
                try await lossCheck.run(clock: clock, heartbeat: { child.heartbeat() })
            },
        ]
    }

    /// The consumers. They are transient: one ends permanently, and the node with it, when the node's name or its key is
    /// refused.
    private var fetching: [ChildSpecification] {
        zip(self.lanes, self.consumers).map { lane, consumer in
            ChildSpecification(
                id: "consumer" + lane.suffix, restart: .transient, isSignificant: true, backoff: Self.backoff,
                heartbeatLimit: Self.heartbeatLimit
            ) { child in try await consumer.run(as: child) }
        }
    }
}
