package import CoreMetrics
package import Domain

/// The mailbox in front of what this node holds, and the runs among it. Its count against the capacity is what a
/// claim may ask for.
package actor RunRegistry {
    private var holdings: Holdings
    private var runs: [EntryReference: JobRun] = [:]
    private var idleWaiter: CheckedContinuation<Void, Never>?
    private var hasStoppedWaiting = false
    private let inFlight: Gauge
    private var doubts: Set<Int> = []
    private var listeners: [Int: AsyncStream<Void>.Continuation] = [:]

    package init(capacity: Int, metrics: any MetricsFactory) {
        self.holdings = Holdings(capacity: capacity)
        self.inFlight = Gauge(label: "orchestra_jobs_in_flight", factory: metrics)
        self.inFlight.record(0)
    }

    package var count: Int { self.holdings.count }
    package var countsByWorkspace: [WorkspaceID: Int] { self.holdings.countsByWorkspace }

    /// Reserves free slots for a claim, at most `most`; see `Holdings.reserve`.
    func reserve(_ most: Int, for lane: Int) -> Int { self.holdings.reserve(most, for: lane) }

    /// Adds what a claim brought to what is held, and returns the slots that were reserved for it.
    func admit(_ deliveries: [Delivery], intoReserved count: Int) -> [Delivery] {
        let fresh = self.admit(deliveries)
        self.holdings.unreserve(count)
        self.wakeServableLanes()
        return fresh
    }

    /// The lane wants no slot now; the lanes that wait behind it move up.
    func withdraw(lane: Int) {
        self.holdings.withdraw(lane: lane)
        self.wakeServableLanes()
    }

    private func wakeServableLanes() {
        for lane in self.holdings.servableLanes { self.listeners[lane]?.yield() }
    }

    func entries(where belongs: @Sendable (WorkspaceID) -> Bool) -> Set<EntryReference> {
        self.holdings.entries(where: belongs)
    }

    // MARK: - Deliveries

    /// Notes deliveries as held; those that were held already are left out of the answer.
    package func admit(_ deliveries: [Delivery]) -> [Delivery] {
        defer { self.inFlight.record(self.holdings.count) }
        return self.holdings.admit(deliveries)
    }

    /// The queue may know of more than is held here; the lane's consumer is to ask.
    func requireReconciliation(lane: Int) {
        self.doubts.insert(lane)
        self.wake(lane: lane)
    }

    func takeNeedsReconciliation(lane: Int) -> Bool { self.doubts.remove(lane) != nil }

    /// Asks the queue what it knows as held, and notes of its answer what is new here.
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

    /// The deliveries are no longer held, one way or another.
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

    /// Rings when a slot becomes free and on `wake`, for one listener a lane at a time: a stream whose iteration was
    /// cancelled is over, so each start of a consumer asks anew.
    package func listen(lane: Int) -> AsyncStream<Void> {
        self.listeners[lane]?.finish()
        let (stream, continuation) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        self.listeners[lane] = continuation
        return stream
    }

    /// Lets a lane's listener look again.
    func wake(lane: Int) { self.listeners[lane]?.yield() }

    // MARK: - Runs

    /// A reason when the run must not begin: it was cancelled, or the lease was lost, before.
    package func register(_ run: JobRun) -> CancellationReason? {
        if let reason = self.holdings.refusal(of: run.entry) { return reason }
        self.runs[run.entry] = run
        return nil
    }

    /// Ends what this node holds of the job; nothing when it holds nothing of it.
    package func cancel(_ job: JobID, _ reason: CancellationReason) async {
        for run in self.holdings.cancel(job, reason).compactMap({ self.runs[$0] }) { await run.cancel(reason) }
    }

    /// Cancels every run.
    package func cancelAll(_ reason: CancellationReason) async {
        for run in Array(self.runs.values) { await run.cancel(reason) }
    }

    /// Ends everything that this node holds of a workspace, also what has not begun.
    func cancelAll(of workspace: WorkspaceID, _ reason: CancellationReason) async {
        for run in self.holdings.cancel(workspace, reason).compactMap({ self.runs[$0] }) { await run.cancel(reason) }
    }

    /// Ends those of `asked` that are not among the entries that the queue knew when it was asked; those that have not
    /// begun will not. Returns how many.
    func dropLost(asked: Set<EntryReference>, known: Set<EntryReference>) async -> Int {
        let lost = self.holdings.dropLost(asked: asked, known: known)
        for run in lost.compactMap({ self.runs[$0] }) { await run.cancel(.leaseLost) }
        return lost.count
    }

    // MARK: - The drain

    /// Waits until nothing is held or `stopWaitingUntilIdle` was called; only the drain waits here.
    package func waitUntilIdle() async {
        defer { self.hasStoppedWaiting = false }
        guard self.holdings.count > 0, !self.hasStoppedWaiting else { return }
        await withCheckedContinuation { continuation in
            self.idleWaiter?.resume()
            self.idleWaiter = continuation
        }
    }

    package func stopWaitingUntilIdle() {
        self.hasStoppedWaiting = true
        self.idleWaiter?.resume()
        self.idleWaiter = nil
    }
}
