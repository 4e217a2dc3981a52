package import Domain

/// The actor of one workspace: takes deliveries in batches and runs a bounded number of them at once.
///
/// `run()` owns the tasks of the runs: cancelling the workspace cancels them, and none is left when `run()` returns.
package actor Workspace {
    package nonisolated let id: WorkspaceID
    private var machine: WorkspaceMachine<Delivery>
    private let work: @Sendable (Delivery) async -> Void
    private let release: @Sendable ([Delivery]) async -> Void
    /// The source of work of `run`; nil while `run` is not active. What is admitted meanwhile is kept in `admitted`.
    private var start: AsyncStream<Delivery>.Continuation?
    private var admitted: [Delivery] = []
    /// It takes nothing more; the next delivery creates a new workspace.
    private var isRetired = false
    /// Batches since the last call of `retireIfIdle`.
    private var batches = 0

    /// `work` runs one delivery to its completion and never throws: a failure is an outcome. `release` returns
    /// deliveries to the queue, not counted. `capacity` bounds the deliveries that wait.
    package init(
        id: WorkspaceID, concurrency: Int, capacity: Int, work: @escaping @Sendable (Delivery) async -> Void,
        release: @escaping @Sendable ([Delivery]) async -> Void
    ) {
        self.id = id
        self.machine = WorkspaceMachine(concurrency: concurrency, capacity: capacity)
        self.work = work
        self.release = release
    }

    /// Runs what `take` admits until the task is cancelled or the workspace retires, and returns after the last run has
    /// ended. It may be called again.
    package func run() async {
        guard !self.isRetired else { return }
        // Bounded by the machine, which admits at most `concurrency` at once.
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

    /// Takes a batch in one hop. Returns false, and takes nothing, when the workspace has retired.
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

    /// Retires the workspace when it had no work since the last call; `run` returns then. Returns whether it has retired.
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
            // A stream whose iteration was cancelled accepts nothing more.
            guard let start = self.start, case .enqueued = start.yield(item) else {
                self.admitted.append(item)
                continue
            }
        }
    }

    /// Starts nothing more and releases what waits; active runs continue.
    package func drain() async {
        let waiting = self.machine.drained()
        if !waiting.isEmpty { await self.release(waiting) }
    }

    /// The deliveries that run and that wait.
    package var load: (running: Int, waiting: Int) { (self.machine.running, self.machine.waiting) }

    /// Runs one delivery and then those that waited for its place, in one task. It runs off the actor, since the runs of
    /// a workspace share only its machine.
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
