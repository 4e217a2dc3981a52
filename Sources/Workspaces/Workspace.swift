package import Domain

/// The actor of one workspace on a node. It takes deliveries in batches and runs a bounded number at once.
///
/// `run()` owns the tasks of the runs: its cancellation cancels them, and they have all ended when it returns.
package actor Workspace {
    package nonisolated let id: WorkspaceID
    private var machine: WorkspaceMachine<Delivery>
    private let work: @Sendable (Delivery) async -> Void
    private let release: @Sendable ([Delivery]) async -> Void
    /// Feeds `run`; nil while `run` is not active. Deliveries that are admitted then wait in `admitted`.
    private var start: AsyncStream<Delivery>.Continuation?
    private var admitted: [Delivery] = []
    /// A retired workspace takes no more deliveries. The caller makes another one when there is work again.
    private var isRetired = false
    /// The number of batches since the last `retireIfIdle`.
    private var batches = 0

    /// `work` runs one delivery to its completion; it does not throw, because a failure is an outcome. `release` hands
    /// deliveries back to the queue without counting an attempt. `concurrency` is the maximum number of runs at once,
    /// `capacity` the maximum number of waiting deliveries.
    package init(
        id: WorkspaceID, concurrency: Int, capacity: Int, work: @escaping @Sendable (Delivery) async -> Void,
        release: @escaping @Sendable ([Delivery]) async -> Void
    ) {
        self.id = id
        self.machine = WorkspaceMachine(concurrency: concurrency, capacity: capacity)
        self.work = work
        self.release = release
    }

    /// Runs admitted deliveries until the task is cancelled or the workspace retires, and returns when all runs have ended.
    /// It can be called again.
    package func run() async {
        guard !self.isRetired else { return }
        // The machine is the bound: it admits at most `concurrency` deliveries at once.
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

    /// Takes a batch in one call, and releases the part for which there is no space. Returns false, and takes nothing, when
    /// the workspace has retired.
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

    /// Retires the workspace if it had no work since the previous call, and ends `run`. Returns whether it retired.
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
            // A stream whose iteration was cancelled accepts no more elements.
            guard let start = self.start, case .enqueued = start.yield(item) else {
                self.admitted.append(item)
                continue
            }
        }
    }

    /// Starts no more runs and releases the waiting deliveries. Active runs continue.
    package func drain() async {
        let waiting = self.machine.drained()
        if !waiting.isEmpty { await self.release(waiting) }
    }

    /// The number of active runs and of waiting deliveries.
    package var load: (running: Int, waiting: Int) { (self.machine.running, self.machine.waiting) }

    /// Runs one delivery, then waiting ones, in the same task. Runs off the actor, because the runs of a workspace share
    /// only its machine.
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
