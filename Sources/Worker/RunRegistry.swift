package import CoreMetrics
package import Domain

/// What this node holds now: every delivery from its claim to its completion, and the runs among them.
/// Its count against the capacity is what a claim may ask for.
package actor RunRegistry {
    private let capacity: Int
    private var held: Set<String> = []
    private var runs: [String: JobRun] = [:]
    private var slotWaiter: CheckedContinuation<Void, Never>?
    private var idleWaiter: CheckedContinuation<Void, Never>?
    private let inFlight: Gauge

    package init(capacity: Int, metrics: any MetricsFactory) {
        self.capacity = capacity
        self.inFlight = Gauge(label: "orchestra_jobs_in_flight", factory: metrics)
        self.inFlight.record(0)
    }

    package var free: Int { max(0, self.capacity - self.held.count) }
    package var count: Int { self.held.count }

    /// Notes deliveries as held; those that were held already are left out of the answer.
    package func admit(_ deliveries: [Delivery]) -> [Delivery] {
        let new = deliveries.filter { self.held.insert($0.entry.token).inserted }
        self.inFlight.record(self.held.count)
        return new
    }

    package func register(_ run: JobRun) { self.runs[run.entry.token] = run }

    /// The delivery is no longer held, one way or another.
    package func release(_ entry: EntryReference) {
        self.runs[entry.token] = nil
        self.held.remove(entry.token)
        self.inFlight.record(self.held.count)
        if let waiter = self.slotWaiter, self.free > 0 {
            self.slotWaiter = nil
            waiter.resume()
        }
        if self.held.isEmpty, let waiter = self.idleWaiter {
            self.idleWaiter = nil
            waiter.resume()
        }
    }

    /// Waits for a free slot; only the consumer waits here. Resumed early by `wake`.
    package func waitForSlot() async {
        guard self.free == 0 else { return }
        await withCheckedContinuation { continuation in
            self.slotWaiter?.resume()
            self.slotWaiter = continuation
        }
    }

    /// Waits until nothing is held; only the drain waits here.
    package func waitUntilIdle() async {
        guard !self.held.isEmpty else { return }
        await withCheckedContinuation { continuation in
            self.idleWaiter?.resume()
            self.idleWaiter = continuation
        }
    }

    /// Lets who waits look again.
    package func wake() {
        self.slotWaiter?.resume()
        self.slotWaiter = nil
    }

    package func stopWaitingUntilIdle() {
        self.idleWaiter?.resume()
        self.idleWaiter = nil
    }

    /// Cancels every run.
    package func cancelAll(_ reason: CancellationReason) async {
        for run in self.runs.values { await run.cancel(reason) }
    }

    /// Cancels the runs whose lease is not among those that the server still knows.
    package func cancelLost(keeping tokens: Set<String>) async -> Int {
        let lost = self.runs.filter { !tokens.contains($0.key) }
        for run in lost.values { await run.cancel(.leaseLost) }
        return lost.count
    }
}
