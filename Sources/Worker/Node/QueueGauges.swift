package import CoreMetrics
package import Jobs

/// Publishes the depth and the age of the queue as metrics every 5 seconds, for example for autoscaling.
package struct QueueGauges: Sendable {
    private let queue: any JobStore
    private let lag: Gauge
    private let age: Gauge
    private let pending: Gauge
    private let delayed: Gauge
    private let parked: Gauge
    private let duplicates: Gauge
    private let refused: Gauge
    private let deadLettersEvicted: Gauge
    private let refusedEntries: Gauge
    private let stranded: Gauge

    /// Registers the gauges of the queue with `factory`; reads nothing from the queue before `run`.
    package init(queue: any JobStore, factory: any MetricsFactory) {
        self.queue = queue
        self.lag = Gauge(label: "orchestra_queue_lag", factory: factory)
        self.age = Gauge(label: "orchestra_queue_oldest_age_seconds", factory: factory)
        self.pending = Gauge(label: "orchestra_queue_pending", factory: factory)
        self.delayed = Gauge(label: "orchestra_queue_delayed", factory: factory)
        self.parked = Gauge(label: "orchestra_queue_workspaces_at_limit", factory: factory)
        self.duplicates = Gauge(label: "orchestra_queue_idempotency_hits", factory: factory)
        self.refused = Gauge(label: "orchestra_queue_refused", factory: factory)
        self.deadLettersEvicted = Gauge(label: "orchestra_queue_dead_letters_dropped", factory: factory)
        self.refusedEntries = Gauge(label: "orchestra_queue_entries_refused", factory: factory)
        self.stranded = Gauge(label: "orchestra_queue_workspaces_home_away", factory: factory)
    }

    /// Runs until the task is cancelled. Throws `JobQueueError` unless it is an outage.
    package func run(clock: any Clock<Duration> = ContinuousClock(), heartbeat: @Sendable () -> Void = {}) async throws
    {
        while true {
            heartbeat()
            do {
                let statistics = try await self.queue.statistics()
                self.lag.record(statistics.waiting)
                self.age.record(Double(statistics.oldestAge.milliseconds) / 1000)
                self.pending.record(statistics.running)
                self.delayed.record(statistics.delayed)
                self.parked.record(statistics.parked)
                self.duplicates.record(statistics.duplicates)
                self.refused.record(statistics.refused)
                self.deadLettersEvicted.record(statistics.deadLettersEvicted)
                self.refusedEntries.record(statistics.refusedEntries)
                self.stranded.record(statistics.stranded)
            } catch let error as JobQueueError where error.isTransient {
                // The last values stay; orchestra_redis_up shows that they are outdated.
            }
            try await clock.sleep(for: .seconds(5))
        }
    }
}
