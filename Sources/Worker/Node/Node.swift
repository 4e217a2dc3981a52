internal import Agents
package import CoreMetrics
package import Domain
package import Jobs
package import Logging
package import NIOPosix
package import Policy
internal import Redis
package import Supervision

/// A worker node: the supervision tree of everything that lives as long as the process, and its drain.
package actor Node {
    let configuration: NodeConfiguration
    let lanes: [NodeLane]
    let stormGuard: StormGuard
    let launchPause: LaunchPause
    private(set) var isDraining = false
    private(set) var root: Supervisor?
    private let registry: RunRegistry
    private let consumers: [Consumer]
    private let workspaces: WorkspaceSet
    private let supervisors: NodeTree
    private let logger: Logger
    private let clock: any Clock<Duration>

    /// Makes the parts of the node; starts nothing. `access` has connections that
    /// only this node uses. `incarnation` must be new for each process. `elapsed` returns the time of `clock`. `adjust`
    /// lets tests make the children of the tree fail or hang.
    package init(
        configuration: NodeConfiguration, policy: PolicyEngine, access: QueueAccess, incarnation: Incarnation,
        processID: Int32, group: MultiThreadedEventLoopGroup, metrics: any MetricsFactory, logger: Logger,
        clock: any Clock<Duration> = ContinuousClock(),
        elapsed: @escaping @Sendable () -> Duration = SupervisionEnvironment.monotonicNow,
        adjust: @escaping @Sendable (ChildSpecification) -> ChildSpecification = { $0 }
    ) {
        let parts = NodeParts(
            configuration: configuration, policy: policy, access: access, incarnation: incarnation,
            processID: processID, group: group, metrics: metrics, logger: logger, clock: clock, elapsed: elapsed,
            adjust: adjust)
        self.configuration = configuration
        self.logger = logger
        self.clock = clock
        self.stormGuard = parts.stormGuard
        self.launchPause = parts.launchPause
        self.registry = parts.registry
        self.lanes = parts.makeLanes()
        self.workspaces = parts.makeWorkspaces(lanes: self.lanes)
        self.consumers = parts.makeConsumers(lanes: self.lanes, workspaces: self.workspaces)
        self.supervisors = parts.makeTree(lanes: self.lanes, consumers: self.consumers, workspaces: self.workspaces)
    }

    /// Runs until `stop` has drained the node and the task is cancelled. Throws `SupervisionError` when the restart
    /// budget is used up, and when a restart cannot help. `telemetry` are the children that export logs and metrics; they
    /// start first and stop last. `server` is a Redis server that the node runs itself, `egress` the server of the sandboxes'
    /// listeners, `api` the listeners for clients.
    package func run(
        telemetry: [ChildSpecification] = [], server: [ChildSpecification] = [], egress: [ChildSpecification] = [],
        api: [ChildSpecification] = []
    ) async throws {
        let root = try self.supervisors.root(telemetry: telemetry, server: server, egress: egress, api: api)
        self.root = root
        try await root.run()
        guard !Task.isCancelled else { return }
        throw SupervisionError(
            code: .gaveUp, message: await self.problem ?? "the node ended without a request to stop")
    }

    /// Why the node does not fetch from one of its lanes; nil when it fetches from all.
    var problem: String? {
        get async {
            for consumer in self.consumers {
                if let problem = await consumer.problem { return problem }
            }
            return nil
        }
    }

    /// Whether the node has joined all lanes.
    var hasJoined: Bool {
        get async {
            for consumer in self.consumers where await !consumer.hasJoined { return false }
            return true
        }
    }

    /// Wakes the consumers after the sandbox gate has opened.
    package nonisolated func gateOpened() async {
        for lane in self.lanes { await self.registry.wake(lane: lane.lease.lane.number) }
    }

    /// The stable name of the node.
    package nonisolated var name: String { self.configuration.node.name }

    /// The number of restarts of supervised children in the last minute.
    var restartsLastMinute: Int { self.stormGuard.count }

    /// The current supervision tree; nil before `run`.
    package var tree: SupervisionTree? {
        get async { await self.root?.tree() }
    }

    // MARK: - The drain

    /// Drains the node: claims no more jobs, lets running jobs finish within the grace, and releases the others. Cancel
    /// the task of `run` when this returns. A second call cancels the running jobs and returns at once.
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

    /// Gives up the node's name in all lanes at once. When several lanes cannot reach Redis, this takes the deadline of
    /// one call, not the sum.
    private func leave() async {
        await withTaskGroup(of: Void.self) { group in
            for lane in self.lanes {
                group.addTask {
                    do { try await lane.lease.leave() } catch {
                        self.logger.warning(
                            "the node could not give up its name; its lease expires instead", error: error)
                    }
                }
            }
        }
    }

    /// Cancels the running jobs, which releases them. When Redis is unavailable, also ends the wait of a drain, because
    /// no completion can be written.
    package func cancelRunningJobs() async {
        await self.registry.cancelAll(.drain)
        for lane in self.lanes where await lane.commands.state != .connected {
            await self.registry.stopWaitingUntilIdle()
        }
    }

    private func waitUntilIdle(atMost limit: Duration) async {
        let clock = self.clock
        let registry = self.registry
        // A cancellation of the drain must not cut the grace short.
        await withoutCancellation {
            await withDiscardingTaskGroup { timer in
                timer.addTask {
                    // Cancelled when the wait below has ended.
                    do { try await clock.sleep(for: limit) } catch { return }
                    await registry.stopWaitingUntilIdle()
                }
                await registry.waitUntilIdle()
                timer.cancelAll()
            }
        }
    }
}
