package import CoreMetrics
package import Domain
internal import Jobs
package import Logging
internal import Supervision
internal import Workspaces

/// The workspaces of this node: one actor each, made at its first delivery, under a supervisor.
package actor WorkspaceSet {
    private let supervisor: Supervisor
    private let concurrency: Int
    private let capacity: Int
    private let pipeline: JobPipeline
    private var members: [WorkspaceID: Workspace] = [:]

    /// `concurrency` is how many jobs of one workspace run at once here; `capacity` how many more may wait.
    package init(
        pipeline: JobPipeline, concurrency: Int, capacity: Int, logger: Logger, metrics: any MetricsFactory
    ) throws {
        self.supervisor = try Supervisor(
            Supervisor.Configuration(name: "workspaces", intensity: 10, period: .seconds(60)), children: [],
            logger: logger, metrics: metrics)
        self.pipeline = pipeline
        self.concurrency = concurrency
        self.capacity = capacity
    }

    package func run(ready: @escaping @Sendable () -> Void) async throws {
        try await self.supervisor.run(ready: ready)
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
        await self.supervisor.start(
            ChildSpecification(id: id.name, restart: .transient, shutdown: .timeout(.seconds(15))) { ready in
                ready()
                await workspace.run()
            })
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
