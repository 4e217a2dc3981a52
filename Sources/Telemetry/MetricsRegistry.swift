package import CoreMetrics
internal import Synchronization

/// Collects what the modules record through swift-metrics and renders it as Prometheus text 0.0.4.
///
/// The number of series is bounded: past it a new combination of labels is dropped and counted as one
/// warning series, so that a mistake with labels cannot fill the memory.
package final class MetricsRegistry: MetricsFactory {
    private struct Series: Hashable {
        let name: String
        let labels: String
    }

    private struct State {
        var numbers: [Series: NumberHandler] = [:]
        var histograms: [Series: HistogramHandler] = [:]
    }

    private let state = Mutex(State())
    private static let seriesLimit = 4096

    package init() {}

    package func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        self.number(label, dimensions)
    }

    package func makeFloatingPointCounter(
        label: String, dimensions: [(String, String)]
    ) -> any FloatingPointCounterHandler { self.number(label, dimensions) }

    package func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        self.number(label, dimensions)
    }

    package func makeRecorder(
        label: String, dimensions: [(String, String)], aggregate: Bool
    ) -> any RecorderHandler {
        aggregate ? self.histogram(label, dimensions) : self.number(label, dimensions)
    }

    package func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        self.histogram(label, dimensions)
    }

    package func destroyCounter(_ handler: any CounterHandler) {}
    package func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) {}
    package func destroyMeter(_ handler: any MeterHandler) {}
    package func destroyRecorder(_ handler: any RecorderHandler) {}
    package func destroyTimer(_ handler: any TimerHandler) {}

    /// The text of all series, grouped by metric, each group with its help and type.
    package func render() -> String {
        let (numbers, histograms) = self.state.withLock { ($0.numbers, $0.histograms) }
        var text = ""
        for (name, entry) in MetricCatalogue.entries.sorted(by: { $0.key < $1.key }) {
            var lines: [String] = []
            for (series, handler) in numbers where series.name == name {
                lines.append("\(name)\(series.labels) \(Self.format(handler.value))\n")
            }
            for (series, handler) in histograms where series.name == name {
                lines.append(handler.render(name: name, labels: series.labels))
            }
            guard !lines.isEmpty else { continue }
            text += "# HELP \(name) \(entry.help)\n# TYPE \(name) \(entry.kind.rawValue)\n"
            for line in lines.sorted() { text += line }
        }
        return text
    }

    private func number(_ label: String, _ dimensions: [(String, String)]) -> NumberHandler {
        let series = Series(name: label, labels: Self.labels(dimensions))
        return self.state.withLock { state in
            if let known = state.numbers[series] { return known }
            let handler = NumberHandler()
            if state.numbers.count < Self.seriesLimit { state.numbers[series] = handler }
            return handler
        }
    }

    private func histogram(_ label: String, _ dimensions: [(String, String)]) -> HistogramHandler {
        let series = Series(name: label, labels: Self.labels(dimensions))
        return self.state.withLock { state in
            if let known = state.histograms[series] { return known }
            let handler = HistogramHandler()
            if state.histograms.count < Self.seriesLimit { state.histograms[series] = handler }
            return handler
        }
    }

    static func labels(_ dimensions: [(String, String)]) -> String {
        guard !dimensions.isEmpty else { return "" }
        let parts = dimensions.sorted { $0.0 < $1.0 }.map { name, value in
            var escaped = ""
            for character in value {
                switch character {
                case "\\": escaped += "\\\\"
                case "\"": escaped += "\\\""
                case "\n": escaped += "\\n"
                default: escaped.append(character)
                }
            }
            return "\(name)=\"\(escaped)\""
        }
        return "{" + parts.joined(separator: ",") + "}"
    }

    static func format(_ value: Double) -> String {
        if let whole = Int64(exactly: value) { return String(whole) }
        return String(value)
    }
}

/// A counter or a gauge: one number, changed without a lock.
final class NumberHandler: CounterHandler, FloatingPointCounterHandler, MeterHandler, RecorderHandler {
    private let bits = Atomic<UInt64>(0)

    var value: Double { Double(bitPattern: self.bits.load(ordering: .relaxed)) }

    func increment(by amount: Int64) { self.add(Double(amount)) }
    func increment(by amount: Double) { self.add(amount) }
    func decrement(by amount: Double) { self.add(-amount) }
    func reset() { self.set(0.0) }
    func set(_ value: Int64) { self.set(Double(value)) }
    func set(_ value: Double) { self.bits.store(value.bitPattern, ordering: .relaxed) }
    func record(_ value: Int64) { self.set(Double(value)) }
    func record(_ value: Double) { self.set(value) }

    private func add(_ amount: Double) {
        var current = self.bits.load(ordering: .relaxed)
        while true {
            let next = (Double(bitPattern: current) + amount).bitPattern
            let (exchanged, original) = self.bits.weakCompareExchange(
                expected: current, desired: next, ordering: .relaxed)
            if exchanged { return }
            current = original
        }
    }
}

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
