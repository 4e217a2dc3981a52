package import Domain
internal import Logging
package import Supervision
internal import Workspaces

/// The workspaces that have work on this node. Each is an actor under a supervisor, made at its first delivery.
package actor WorkspaceSet {
    private let environment: SupervisionEnvironment
    private let adjust: @Sendable (ChildSpecification) -> ChildSpecification
    private var supervisor: Supervisor?
    private var isDraining = false
    private let concurrency: Int
    private let capacity: Int
    private let pipeline: JobPipeline
    private var members: [WorkspaceID: Workspace] = [:]

    /// A workspace is removed after one to two times this period without work.
    private static let idleTime = Duration.seconds(300)

    /// `concurrency` is the maximum number of running jobs of one workspace on this node, `capacity` the maximum number of
    /// its waiting deliveries. `adjust` lets tests make children fail or hang.
    package init(
        pipeline: JobPipeline, concurrency: Int, capacity: Int, environment: SupervisionEnvironment,
        adjust: @escaping @Sendable (ChildSpecification) -> ChildSpecification = { $0 }
    ) {
        self.environment = environment
        self.adjust = adjust
        self.pipeline = pipeline
        self.concurrency = concurrency
        self.capacity = capacity
    }

    /// The subsystem of the node. It is simple-one-for-one, so that all workspaces stop at the same time; each waits for its
    /// runs to end. A workspace does not fail by itself; the restart budget covers unexpected failures.
    package nonisolated var child: ChildSpecification {
        ChildSpecification(id: "workspaces", shutdown: .infinity, type: .supervisor, backoff: .subsystem) { child in
            let (supervisor, members) = try await self.makeSupervisor()
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { for member in members { await self.start(member, under: supervisor) } }
                group.addTask {
                    while true {
                        try await self.environment.clock.sleep(for: Self.idleTime)
                        await self.retireIdle()
                    }
                }
                defer { group.cancelAll() }
                try await supervisor.run(as: child)
            }
        }
    }

    /// Makes a new supervisor and returns it with the existing workspaces. Both happen without suspension: later workspaces
    /// start themselves, so none is started twice.
    private func makeSupervisor() throws -> (Supervisor, [Workspace]) {
        let template = ChildSpecification(
            id: "workspace", restart: .transient, shutdown: .timeout(.seconds(15)),
            backoff: RestartBackoff(first: .milliseconds(100), longest: .seconds(10), resetAfter: .seconds(120)),
            run: { $0.ready() })
        let supervisor = try Supervisor(
            Supervisor.Configuration(
                name: "workspaces", strategy: .simpleOneForOne, intensity: 10, period: .seconds(60)),
            children: [template], environment: self.environment)
        self.supervisor = supervisor
        return (supervisor, Array(self.members.values))
    }

    private func start(_ workspace: Workspace, under supervisor: Supervisor) async {
        let specification = self.adjust(
            ChildSpecification(id: workspace.id.name) { child in
                child.ready()
                await workspace.run()
                try Task.checkCancellation()
            })
        do {
            try await supervisor.startInstance(named: specification.id, run: specification.run)
        } catch {
            // The supervisor is ending. The next one starts all members; they keep their deliveries until then.
            self.environment.logger.debug(
                "a workspace waits for a restart of its supervisor", error: error,
                metadata: ["workspace": "\(workspace.id)"])
        }
    }

    /// Passes deliveries to their workspaces, in one batch each. Returns when they are accepted or released.
    package func dispatch(_ deliveries: [Delivery]) async {
        // A claim that was in flight when the drain began.
        if self.isDraining { return await self.pipeline.release(deliveries) }
        var batches: [WorkspaceID: [Delivery]] = [:]
        for delivery in deliveries { batches[delivery.workspace, default: []].append(delivery) }
        for (id, batch) in batches {
            // A workspace that has just retired takes nothing; a new one replaces it.
            while true {
                let member = await self.member(id)
                if await member.take(batch) { break }
                self.remove(member)
            }
        }
    }

    /// Removes the workspaces without work since the previous call. Returns the number of remaining ones.
    @discardableResult
    package func retireIdle() async -> Int {
        for member in Array(self.members.values) where await member.retireIfIdle() { self.remove(member) }
        return self.members.count
    }

    private func remove(_ member: Workspace) {
        if self.members[member.id] === member { self.members[member.id] = nil }
    }

    /// Starts no more jobs and releases the waiting deliveries. Running jobs continue.
    package func drain() async {
        self.isDraining = true
        for member in self.members.values { await member.drain() }
    }

    /// The workspace of this ID; made and started if necessary.
    private func member(_ id: WorkspaceID) async -> Workspace {
        if let member = self.members[id] { return member }
        let pipeline = self.pipeline
        let workspace = Workspace(
            id: id, concurrency: self.concurrency, capacity: self.capacity, work: { await pipeline.process($0) },
            release: { await pipeline.release($0) })
        self.members[id] = workspace
        if let supervisor = self.supervisor { await self.start(workspace, under: supervisor) }
        return workspace
    }
}
