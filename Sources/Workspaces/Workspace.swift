package import Domain

/// The actor of one workspace: takes deliveries in batches and runs as many at once as it may.
///
/// `run()` owns the tasks of the runs, so that cancelling the workspace cancels them and its end means
/// that none is left.
package actor Workspace {
    package nonisolated let id: WorkspaceID
    private var machine: WorkspaceMachine<Delivery>
    private let work: @Sendable (Delivery) async -> Void
    private let release: @Sendable ([Delivery]) async -> Void
    /// Where `run` takes its work from; nil while it does not run, and what is admitted then waits here.
    private var start: AsyncStream<Delivery>.Continuation?
    private var admitted: [Delivery] = []
    /// It takes nothing more: another one is made when there is work again.
    private var isRetired = false
    /// Batches since it was last asked whether it may go.
    private var batches = 0

    /// `work` runs one delivery to its completion and never throws: a failure is an outcome. `release`
    /// hands deliveries back to the queue, not counted. `capacity` bounds what waits here.
    package init(
        id: WorkspaceID, concurrency: Int, capacity: Int, work: @escaping @Sendable (Delivery) async -> Void,
        release: @escaping @Sendable ([Delivery]) async -> Void
    ) {
        self.id = id
        self.machine = WorkspaceMachine(concurrency: concurrency, capacity: capacity)
        self.work = work
        self.release = release
    }

    /// Runs what `take` admits until the task is cancelled; the runs have ended by then. It may run again.
    package func run() async {
        guard !self.isRetired else { return }
        // Bounded by the machine: it lets through no more than `concurrency` at once.
        let (starts, start) = AsyncStream<Delivery>.makeStream(bufferingPolicy: .unbounded)
        self.start = start
        for delivery in self.admitted { start.yield(delivery) }
        self.admitted = []
        await withDiscardingTaskGroup { group in
            for await delivery in starts {
                group.addTask { await self.perform(delivery) }
            }
        }
        self.start = nil
    }

    /// Takes a batch in one hop; false, and nothing is taken, when it has retired.
    package func take(_ deliveries: [Delivery]) async -> Bool {
        guard !self.isRetired else { return false }
        self.batches += 1
        switch self.machine.received(deliveries) {
        case .run(let items): self.begin(items)
        case .runAndReturn(let items, let refused):
            self.begin(items)
            await self.release(refused)
        }
        return true
    }

    /// Retires when it had nothing to do since it was last asked; true when it has. `run` ends then.
    package func retireIfIdle() -> Bool {
        defer { self.batches = 0 }
        guard self.batches == 0, self.machine.running == 0, self.machine.waiting == 0, self.admitted.isEmpty else {
            return false
        }
        self.isRetired = true
        self.start?.finish()
        return true
    }

    private func begin(_ items: [Delivery]) {
        for item in items {
            // A stream whose iteration was cancelled takes nothing more.
            guard let start = self.start, case .enqueued = start.yield(item) else {
                self.admitted.append(item)
                continue
            }
        }
    }

    /// Starts nothing more and gives back what waits; runs go on.
    package func drain() async {
        let waiting = self.machine.drained()
        if !waiting.isEmpty { await self.release(waiting) }
    }

    package var load: (running: Int, waiting: Int) { (self.machine.running, self.machine.waiting) }

    /// Runs one delivery, then those that waited behind it, in the same task. Off the actor: the runs of a workspace
    /// share nothing but its machine.
    @concurrent
    private nonisolated func perform(_ first: Delivery) async {
        var next: Delivery? = first
        while let delivery = next {
            await self.work(delivery)
            next = await self.finishedOne()
        }
    }

    private func finishedOne() -> Delivery? { self.machine.finished() }
}
