package import CoreMetrics
package import Domain

/// What this node holds now: every delivery from its claim to its completion, and the runs among them.
/// Its count against the capacity is what a claim may ask for.
package actor RunRegistry {
    private struct Held {
        let workspace: WorkspaceID
        let leaseKey: [UInt8]
        var run: JobRun?
        /// What its run is ended with as soon as there is one.
        var cancellation: CancellationReason?
    }

    private let capacity: Int
    private var held: [String: Held] = [:]
    private var byWorkspace: [WorkspaceID: Int] = [:]
    /// What was released while a question about what the server knows was under way.
    private var releasedMeanwhile: Set<String>?
    private var idleWaiter: CheckedContinuation<Void, Never>?
    private var hasStoppedWaiting = false
    private let inFlight: Gauge
    private var listener: AsyncStream<Void>.Continuation?

    package init(capacity: Int, metrics: any MetricsFactory) {
        self.capacity = capacity
        self.inFlight = Gauge(label: "orchestra_jobs_in_flight", factory: metrics)
        self.inFlight.record(0)
    }

    package var free: Int { max(0, self.capacity - self.held.count) }
    package var count: Int { self.held.count }
    package var tokens: Set<String> { Set(self.held.keys) }
    package var countsByWorkspace: [WorkspaceID: Int] { self.byWorkspace }

    // MARK: - Deliveries

    /// Notes deliveries as held; those that were held already are left out of the answer.
    package func admit(_ deliveries: [Delivery]) -> [Delivery] {
        let released = self.releasedMeanwhile ?? []
        self.releasedMeanwhile = nil
        let new = deliveries.filter { delivery in
            let token = delivery.entry.token
            guard self.held[token] == nil, !released.contains(token) else { return false }
            self.held[token] = Held(workspace: delivery.workspace, leaseKey: delivery.entry.leaseKey)
            self.byWorkspace[delivery.workspace, default: 0] += 1
            return true
        }
        self.inFlight.record(self.held.count)
        return new
    }

    /// From now until the next `admit`, what is released is remembered: the server's answer may be older than
    /// a completion, and its deliveries must not be taken for new ones.
    package func beginReconciliation() { self.releasedMeanwhile = [] }

    /// The deliveries are no longer held, one way or another.
    package func release(_ entries: [EntryReference]) {
        for entry in entries {
            guard let held = self.held.removeValue(forKey: entry.token) else { continue }
            self.releasedMeanwhile?.insert(entry.token)
            let left = (self.byWorkspace[held.workspace] ?? 1) - 1
            self.byWorkspace[held.workspace] = left > 0 ? left : nil
        }
        self.inFlight.record(self.held.count)
        self.listener?.yield()
        if self.held.isEmpty, let waiter = self.idleWaiter {
            self.idleWaiter = nil
            waiter.resume()
        }
    }

    /// Rings when a slot becomes free and on `wake`, for one listener at a time: a stream whose iteration was
    /// cancelled is over, so each start of the consumer asks anew.
    package func listen() -> AsyncStream<Void> {
        self.listener?.finish()
        let (stream, continuation) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        self.listener = continuation
        return stream
    }

    /// Lets the listener look again.
    package func wake() { self.listener?.yield() }

    // MARK: - Runs

    /// A reason when the run must not begin: it was cancelled, or the lease was lost, before.
    package func register(_ run: JobRun) -> CancellationReason? {
        guard let held = self.held[run.entry.token] else { return .leaseLost }
        if let reason = held.cancellation { return reason }
        self.held[run.entry.token]?.run = run
        return nil
    }

    /// Ends what this node holds of the job; nothing when it holds nothing of it.
    package func cancel(_ job: JobID, _ reason: CancellationReason) async {
        let key = job.uuid.bytes
        for (token, held) in self.held where held.leaseKey == key && held.cancellation == nil {
            self.held[token]?.cancellation = reason
            await held.run?.cancel(reason)
        }
    }

    /// Cancels every run.
    package func cancelAll(_ reason: CancellationReason) async {
        for run in self.held.values.compactMap(\.run) { await run.cancel(reason) }
    }

    /// Ends those of `asked` that are not among the tokens that the server knew when it was asked; those that
    /// have not begun will not. Returns how many.
    package func dropLost(asked: Set<String>, known: Set<String>) async -> Int {
        let lost = asked.subtracting(known).filter { self.held[$0] != nil }
        // Also over an earlier reason: nothing of it may be written.
        for token in lost { self.held[token]?.cancellation = .leaseLost }
        for run in lost.compactMap({ self.held[$0]?.run }) { await run.cancel(.leaseLost) }
        return lost.count
    }

    // MARK: - The drain

    /// Waits until nothing is held or `stopWaitingUntilIdle` was called; only the drain waits here.
    package func waitUntilIdle() async {
        defer { self.hasStoppedWaiting = false }
        guard !self.held.isEmpty, !self.hasStoppedWaiting else { return }
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
