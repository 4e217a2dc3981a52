package import Domain

/// The actor of one workspace: takes deliveries in batches and runs as many at once as it may.
///
/// `run()` owns the tasks of the runs, so that cancelling the workspace cancels them and its end means
/// that none is left.
package actor Workspace {
    package nonisolated let id: WorkspaceID
    private var machine: WorkspaceMachine<Delivery>
    private let work: @Sendable (Delivery) async -> Void
    private let giveBack: @Sendable ([Delivery]) async -> Void
    private let starts: AsyncStream<Delivery>
    private nonisolated let start: AsyncStream<Delivery>.Continuation

    /// `work` runs one delivery to its completion and never throws: a failure is an outcome. `giveBack`
    /// hands deliveries back to the queue, not counted. `capacity` bounds what waits here.
    package init(
        id: WorkspaceID, concurrency: Int, capacity: Int, work: @escaping @Sendable (Delivery) async -> Void,
        giveBack: @escaping @Sendable ([Delivery]) async -> Void
    ) {
        self.id = id
        self.machine = WorkspaceMachine(concurrency: concurrency, capacity: capacity)
        self.work = work
        self.giveBack = giveBack
        // Bounded by the machine: it lets through no more than `concurrency` at once.
        (self.starts, self.start) = AsyncStream.makeStream(bufferingPolicy: .unbounded)
    }

    /// Runs what `take` admits until the task is cancelled or `finish` was called and all runs ended.
    package func run() async {
        let starts = self.starts
        await withDiscardingTaskGroup { group in
            for await delivery in starts {
                group.addTask { await self.perform(delivery) }
            }
        }
    }

    /// Takes a batch in one hop.
    package func take(_ deliveries: [Delivery]) async {
        switch self.machine.received(deliveries) {
        case .run(let items): for item in items { self.start.yield(item) }
        case .runAndReturn(let items, let refused):
            for item in items { self.start.yield(item) }
            await self.giveBack(refused)
        }
    }

    /// Starts nothing more and gives back what waits; runs go on.
    package func drain() async {
        let waiting = self.machine.drained()
        if !waiting.isEmpty { await self.giveBack(waiting) }
    }

    /// Lets `run()` return once the runs have ended.
    package nonisolated func finish() { self.start.finish() }

    package var load: (running: Int, waiting: Int) { (self.machine.running, self.machine.waiting) }

    /// Runs one delivery, then those that waited behind it, in the same task.
    private func perform(_ first: Delivery) async {
        var next: Delivery? = first
        while let delivery = next {
            await self.work(delivery)
            next = self.machine.finished()
        }
    }
}
