internal import CoreMetrics
internal import Domain
internal import Synchronization

/// Counts requests by operation and status, without workspace or path.
final class RequestMetrics: Sendable {
    private let factory: any MetricsFactory
    private let counters = Mutex<[String: Counter]>([:])
    private let durations: Timer

    init(factory: any MetricsFactory) {
        self.factory = factory
        self.durations = Timer(label: "orchestra_api_request_duration_seconds", factory: factory)
    }

    /// Counts one request and how long it took.
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
