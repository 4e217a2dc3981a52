package import Domain
internal import Jobs
internal import Logging
package import Supervision
internal import Workspaces

/// The workspaces of this node: one actor each, made at its first delivery, under a supervisor.
package actor WorkspaceSet {
    private let environment: SupervisionEnvironment
    private let adjust: @Sendable (ChildSpecification) -> ChildSpecification
    private var supervisor: Supervisor?
    private let concurrency: Int
    private let capacity: Int
    private let pipeline: JobPipeline
    private var members: [WorkspaceID: Workspace] = [:]

    /// A workspace without work for this long, or twice it, is let go of.
    private static let idleTime = Duration.seconds(300)

    /// `concurrency` is how many jobs of one workspace run at once here; `capacity` how many more may wait.
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

    /// The node's child. Simple-one-for-one, so that all workspaces are told to stop at once: each waits for its
    /// runs to end. They have no failure of their own; the budget is for what nobody thought of.
    package nonisolated var child: ChildSpecification {
        ChildSpecification(id: "workspaces", shutdown: .infinity, type: .supervisor, backoff: .subsystem) { child in
            let (supervisor, members) = try await self.make()
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

    /// A new supervisor, and those that an earlier one had: taken in one step, so that whoever comes later starts
    /// itself and nobody is started twice.
    private func make() throws -> (Supervisor, [Workspace]) {
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
            // The supervisor ends; the next one starts all members, and they keep their work until then.
            self.environment.logger.debug(
                "a workspace waits for its supervisor", error: error, metadata: ["workspace": "\(workspace.id)"])
        }
    }

    /// Hands deliveries to their workspaces, a batch each.
    package func dispatch(_ deliveries: [Delivery]) async {
        var batches: [WorkspaceID: [Delivery]] = [:]
        for delivery in deliveries { batches[delivery.workspace, default: []].append(delivery) }
        for (id, batch) in batches {
            // One that retires just now takes nothing; the next one is new.
            while true {
                let member = await self.member(id)
                if await member.take(batch) { break }
                self.forget(member)
            }
        }
    }

    /// Lets go of the workspaces that had nothing to do since this was asked before; how many there are still.
    @discardableResult
    package func retireIdle() async -> Int {
        for member in Array(self.members.values) where await member.retireIfIdle() { self.forget(member) }
        return self.members.count
    }

    private func forget(_ member: Workspace) {
        if self.members[member.id] === member { self.members[member.id] = nil }
    }

    /// Starts nothing more; what waits goes back.
    package func drain() async {
        for member in self.members.values { await member.drain() }
    }

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

extension JobPipeline {
    /// Hands deliveries back to the queue unrun, not counted as attempts; does not wait until that is written.
    package func release(_ deliveries: [Delivery]) async {
        for delivery in deliveries {
            self.writers.write(
                Completion(
                    delivery: delivery, end: .released, action: "", failures: delivery.failures,
                    crashes: delivery.crashes))
        }
    }
}
