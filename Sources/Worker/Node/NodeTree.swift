internal import Agents
internal import Domain
internal import Jobs
internal import Redis
internal import Supervision

/// Who restarts what on a node, and how often. The architecture page says why the numbers are what they are.
///
/// The node is rest-for-one over its subsystems: each stands on those before it. Within a subsystem children are
/// one-for-one, since they share no state that a restart of one could spoil for the others.
struct NodeTree {
    let lanes: [NodeLane]
    let consumers: [Consumer]
    let gauges: QueueGauges
    let scheduler: Scheduler
    let watch: SecurityWatch
    let agents: AgentSupervisors
    let workspaces: WorkspaceSet
    let environment: SupervisionEnvironment
    /// Lets tests make a child fail or hang.
    let adjust: @Sendable (ChildSpecification) -> ChildSpecification

    /// A loop that has not turned for this long hangs: six of its longest waits, each five seconds at most.
    static let heartbeatLimit = Duration.seconds(30)

    /// More than a connection attempt or a last write may take (five seconds each), so that neither looks leaked.
    static let shutdownTimeout = ShutdownPolicy.timeout(.seconds(12))

    static let backoff = RestartBackoff(
        first: .milliseconds(100), longest: .seconds(10), resetAfter: .seconds(120))

    /// `telemetry` are the node's windows, `server` a Redis of its own, each with the backoff it brings.
    /// `api` is whom others reach the node through.
    func root(
        telemetry: [ChildSpecification], server: [ChildSpecification], api: [ChildSpecification]
    ) throws -> Supervisor {
        try Supervisor(
            Supervisor.Configuration(
                name: "node", strategy: .restForOne, intensity: 3, period: .seconds(600), autoShutdown: .anySignificant),
            children: [
                self.subsystem("telemetry", intensity: 30, telemetry),
                self.subsystem("redis", intensity: 10, server + self.links),
                self.subsystem("queue", intensity: 10, self.queue),
                self.agents.child,
                self.workspaces.child,
                self.subsystem("consumers", intensity: 10, self.fetching, isSignificant: true),
            ] + (api.isEmpty ? [] : [self.subsystem("api", intensity: 10, api)]), environment: self.environment)
    }

    /// A significant subsystem ends the node when its significant child ends for good.
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
                // A give-up, which OTP calls an orderly end, is a failure here: a transient subsystem starts again.
                throw SubsystemFailure(description: error.message)
            }
        }
    }

    private var links: [ChildSpecification] {
        self.lanes.flatMap { lane in
            [self.link("commands" + lane.suffix, lane.commands), self.link("blocking" + lane.suffix, lane.blocking)]
        }
    }

    private func link(_ id: String, _ client: RedisClient) -> ChildSpecification {
        .redisLink(id, client, clock: self.environment.clock)
    }

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
            ChildSpecification(id: "gauges", backoff: Self.backoff, heartbeatLimit: Self.heartbeatLimit) { child in
                child.ready()
                try await gauges.run(clock: clock, heartbeat: { child.heartbeat() })
            },
        ] + (scheduler.isNeeded ? [schedules] : [])
    }

    private func queue(of lane: NodeLane) -> [ChildSpecification] {
        let (writer, keeper, check) = (lane.writer, lane.keeper, lane.serverCheck)
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
        ]
    }

    /// Transient: one ends for good, and the node with it, when the node's name or key is not its own.
    private var fetching: [ChildSpecification] {
        zip(self.lanes, self.consumers).map { lane, consumer in
            ChildSpecification(
                id: "consumer" + lane.suffix, restart: .transient, isSignificant: true, backoff: Self.backoff,
                heartbeatLimit: Self.heartbeatLimit
            ) { child in try await consumer.run(as: child) }
        }
    }
}

/// A subsystem spent its restart budget.
private struct SubsystemFailure: Error, CustomStringConvertible {
    let description: String
}
