internal import CoreMetrics
internal import Synchronization

/// A histogram in seconds over the catalogue's buckets.
final class HistogramHandler: RecorderHandler, TimerHandler {
    private struct State {
        var counts = [UInt64](repeating: 0, count: MetricCatalogue.buckets.count + 1)
        var sum = 0.0
    }

    private let state = Mutex(State())

    func record(_ value: Int64) { self.record(Double(value)) }

    func record(_ value: Double) {
        let index = MetricCatalogue.buckets.firstIndex { value <= $0 } ?? MetricCatalogue.buckets.count
        self.state.withLock { state in
            state.counts[index] += 1
            state.sum += value
        }
    }

    func recordNanoseconds(_ duration: Int64) { self.record(Double(duration) / 1e9) }

    func render(name: String, labels: String) -> String {
        let (counts, sum) = self.state.withLock { ($0.counts, $0.sum) }
        let inner = labels.isEmpty ? "" : String(labels.dropFirst().dropLast()) + ","
        var text = ""
        var total: UInt64 = 0
        for (index, count) in counts.enumerated() {
            total += count
            let bound =
                index < MetricCatalogue.buckets.count ? MetricsRegistry.format(MetricCatalogue.buckets[index]) : "+Inf"
            text += "\(name)_bucket{\(inner)le=\"\(bound)\"} \(total)\n"
        }
        return text + "\(name)_sum\(labels) \(MetricsRegistry.format(sum))\n\(name)_count\(labels) \(total)\n"
    }
}
