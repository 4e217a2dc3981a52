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

    /// The node's child. Workspaces have no failure of their own, so its budget is for what nobody thought of.
    package nonisolated var child: ChildSpecification {
        ChildSpecification.supervisor(id: "workspaces", backoff: .subsystem) { try await self.make() }
    }

    /// A new supervisor, of all workspaces seen so far.
    private func make() throws -> Supervisor {
        let supervisor = try Supervisor(
            Supervisor.Configuration(name: "workspaces", intensity: 10, period: .seconds(60)),
            children: self.members.values.sorted { $0.id.name < $1.id.name }.map { self.specification(of: $0) },
            environment: self.environment)
        self.supervisor = supervisor
        return supervisor
    }

    private func specification(of workspace: Workspace) -> ChildSpecification {
        self.adjust(
            ChildSpecification(
                id: workspace.id.name, shutdown: .timeout(.seconds(15)),
                backoff: RestartBackoff(first: .milliseconds(100), longest: .seconds(10), resetAfter: .seconds(120))
            ) { child in
                child.ready()
                await workspace.run()
                try Task.checkCancellation()
            })
    }

    /// Hands deliveries to their workspaces, a batch each.
    package func dispatch(_ deliveries: [Delivery]) async {
        var batches: [WorkspaceID: [Delivery]] = [:]
        for delivery in deliveries { batches[delivery.workspace, default: []].append(delivery) }
        for (id, batch) in batches { await self.member(id).take(batch) }
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
            giveBack: { await pipeline.giveBack($0) })
        self.members[id] = workspace
        do {
            try await self.supervisor?.startChild(self.specification(of: workspace))
        } catch {
            // Between two supervisors: the next one starts it with the others, and it keeps its work until then.
            self.environment.logger.info(
                "a workspace waits for its supervisor", error: error, metadata: ["workspace": "\(id)"])
        }
        return workspace
    }
}

extension JobPipeline {
    /// Hands deliveries back to the queue unrun, not counted as attempts.
    package func giveBack(_ deliveries: [Delivery]) async {
        for delivery in deliveries {
            _ = await self.writer.write(
                Completion(
                    delivery: delivery, end: .released, action: "", submittedAt: delivery.jobID?.milliseconds ?? 0,
                    startedAt: 0, failures: delivery.failures, crashes: delivery.crashes))
            await self.registry.release(delivery.entry)
        }
    }
}
