internal import CoreMetrics
internal import Domain
internal import Synchronization

/// Counts requests by what was asked and how it was answered; no workspace, no path.
final class RequestMetrics: Sendable {
    private let factory: any MetricsFactory
    private let counters = Mutex<[String: Counter]>([:])
    private let durations: Timer

    init(factory: any MetricsFactory) {
        self.factory = factory
        self.durations = Timer(label: "orchestra_api_request_duration_seconds", factory: factory)
    }

    func note(_ operation: Operation?, status: Int, after duration: Duration) {
        let name = operation?.rawValue ?? "none"
        let counter = self.counters.withLock { counters in
            let key = "\(name) \(status)"
            if let counter = counters[key] { return counter }
            let counter = Counter(
                label: "orchestra_api_requests_total",
                dimensions: [("operation", name), ("status", String(status))], factory: self.factory)
            counters[key] = counter
            return counter
        }
        counter.increment()
        let (seconds, attoseconds) = duration.components
        self.durations.recordNanoseconds(seconds * 1_000_000_000 + attoseconds / 1_000_000_000)
    }
}

/// Open streams and WebSockets, bounded for each workspace.
package final class StreamCensus: Sendable {
    private let counts = Mutex<[WorkspaceID: Int]>([:])
    private let limit: Int
    private let gauge: Gauge

    init(limit: Int, metrics: any MetricsFactory) {
        self.limit = limit
        self.gauge = Gauge(label: "orchestra_api_streams", factory: metrics)
    }

    /// False when the workspace has as many as it may; each true wants a `leave`.
    func enter(_ workspace: WorkspaceID) -> Bool {
        self.counts.withLock { counts in
            guard counts[workspace, default: 0] < self.limit else { return false }
            counts[workspace, default: 0] += 1
            self.gauge.record(counts.values.reduce(0, +))
            return true
        }
    }

    func leave(_ workspace: WorkspaceID) {
        self.counts.withLock { counts in
            counts[workspace, default: 1] -= 1
            if counts[workspace] == 0 { counts[workspace] = nil }
            self.gauge.record(counts.values.reduce(0, +))
        }
    }
}
