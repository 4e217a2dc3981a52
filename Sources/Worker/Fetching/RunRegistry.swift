package import CoreMetrics
package import Domain

/// The deliveries that this node holds and the runs of those that have started. The slots that are free determine how much
/// a claim may request.
package actor RunRegistry {
    private var holdings: Holdings
    private var runs: [EntryReference: JobRun] = [:]
    private var idleWaiter: CheckedContinuation<Void, Never>?
    private var hasStoppedWaiting = false
    private let inFlight: Gauge
    /// The lanes whose held entries must be compared with those of the queue.
    private var lanesToReconcile: Set<Int> = []
    /// The wake-up signal of each lane's consumer.
    private var listeners: [Int: AsyncStream<Void>.Continuation] = [:]

    /// `capacity` is the number of slots of the node.
    package init(capacity: Int, metrics: any MetricsFactory) {
        self.holdings = Holdings(capacity: capacity)
        self.inFlight = Gauge(label: "orchestra_jobs_in_flight", factory: metrics)
        self.inFlight.record(0)
    }

    /// The number of held deliveries.
    package var count: Int { self.holdings.count }
    /// The number of held deliveries of each workspace that has some.
    package var countsByWorkspace: [WorkspaceID: Int] { self.holdings.countsByWorkspace }

    /// Reserves free slots for a claim, at most `most`; see `Holdings.reserve`.
    func reserve(_ most: Int, for lane: Int) -> Int { self.holdings.reserve(most, for: lane) }

    /// Adds the deliveries of a claim to the held ones, returns the slots reserved for it, and wakes waiting lanes. Returns
    /// the deliveries that are new.
    func admit(_ deliveries: [Delivery], intoReserved count: Int) -> [Delivery] {
        let fresh = self.admit(deliveries)
        self.holdings.unreserve(count)
        self.wakeServableLanes()
        return fresh
    }

    /// Removes the lane from the lanes that wait for a slot, and wakes those that can have one now.
    func withdraw(lane: Int) {
        self.holdings.withdraw(lane: lane)
        self.wakeServableLanes()
    }

    private func wakeServableLanes() {
        for lane in self.holdings.servableLanes { self.listeners[lane]?.yield() }
    }

    /// The held entries of the workspaces that `belongs` selects.
    func entries(where belongs: @Sendable (WorkspaceID) -> Bool) -> Set<EntryReference> {
        self.holdings.entries(where: belongs)
    }

    // MARK: - Deliveries

    /// Adds deliveries to the held ones and returns those that are new.
    package func admit(_ deliveries: [Delivery]) -> [Delivery] {
        defer { self.inFlight.record(self.holdings.count) }
        return self.holdings.admit(deliveries)
    }

    /// Requests that the lane's consumer queries its held entries, because the queue may have more of them.
    func requireReconciliation(lane: Int) {
        self.lanesToReconcile.insert(lane)
        self.wake(lane: lane)
    }

    /// Whether a reconciliation of the lane was requested since the last call.
    func takeNeedsReconciliation(lane: Int) -> Bool { self.lanesToReconcile.remove(lane) != nil }

    /// Adds the deliveries that `ask` returns, which are the held entries of the queue, and returns those that are new.
    /// Entries that are released during the call are not added again. Throws the errors of `ask`; nothing changes then.
    func reconcile(_ ask: @Sendable () async throws -> [Delivery]) async throws -> [Delivery] {
        let reconciliation = self.holdings.beginReconciliation()
        do {
            let answer = try await ask()
            defer { self.inFlight.record(self.holdings.count) }
            return self.holdings.admit(answer, answering: reconciliation)
        } catch {
            self.holdings.abandon(reconciliation)
            throw error
        }
    }

    /// Removes entries from the held ones, after their completion or their loss, and wakes all lanes.
    package func release(_ entries: [EntryReference]) {
        self.holdings.release(entries)
        for entry in entries { self.runs[entry] = nil }
        self.inFlight.record(self.holdings.count)
        for listener in self.listeners.values { listener.yield() }
        if self.holdings.count == 0, let waiter = self.idleWaiter {
            self.idleWaiter = nil
            waiter.resume()
        }
    }

    /// A signal for the lane's consumer when slots become free and on `wake`. Replaces and finishes the previous stream of
    /// the lane: a stream whose iteration was cancelled has ended, so each start of a consumer needs a new one.
    package func listen(lane: Int) -> AsyncStream<Void> {
        self.listeners[lane]?.finish()
        let (stream, continuation) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        self.listeners[lane] = continuation
        return stream
    }

    /// Signals the lane's consumer.
    func wake(lane: Int) { self.listeners[lane]?.yield() }

    // MARK: - Runs

    /// Registers a run before its start. Returns the reason if it must not start: it was cancelled, or the lease was lost.
    package func register(_ run: JobRun) -> CancellationReason? {
        if let reason = self.holdings.refusal(of: run.entry) { return reason }
        self.runs[run.entry] = run
        return nil
    }

    /// Cancels the held entries of a job. Does nothing when there are none.
    package func cancel(_ job: JobID, _ reason: CancellationReason) async {
        for run in self.holdings.cancel(job, reason).compactMap({ self.runs[$0] }) { await run.cancel(reason) }
    }

    /// Cancels all runs that have started.
    package func cancelAll(_ reason: CancellationReason) async {
        for run in Array(self.runs.values) { await run.cancel(reason) }
    }

    /// Cancels all held entries of a workspace, including those that have not started.
    func cancelAll(of workspace: WorkspaceID, _ reason: CancellationReason) async {
        for run in self.holdings.cancel(workspace, reason).compactMap({ self.runs[$0] }) { await run.cancel(reason) }
    }

    /// Cancels the entries of `asked`, which were held before a query, that are not in `known`, its answer. Those that have
    /// not started do not start. Returns their number.
    func dropLost(asked: Set<EntryReference>, known: Set<EntryReference>) async -> Int {
        let lost = self.holdings.dropLost(asked: asked, known: known)
        for run in lost.compactMap({ self.runs[$0] }) { await run.cancel(.leaseLost) }
        return lost.count
    }

    // MARK: - The drain

    /// Waits until no delivery is held, or `stopWaitingUntilIdle` is called. Does not end at a cancellation of the task. Only
    /// the drain calls it, so there is one waiter.
    package func waitUntilIdle() async {
        defer { self.hasStoppedWaiting = false }
        guard self.holdings.count > 0, !self.hasStoppedWaiting else { return }
        await withCheckedContinuation { continuation in
            self.idleWaiter?.resume()
            self.idleWaiter = continuation
        }
    }

    /// Ends the current or the next `waitUntilIdle`.
    package func stopWaitingUntilIdle() {
        self.hasStoppedWaiting = true
        self.idleWaiter?.resume()
        self.idleWaiter = nil
    }
}
