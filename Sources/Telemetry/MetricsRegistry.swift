package import CoreMetrics
internal import Synchronization

/// Collects what the modules record through swift-metrics and renders it as Prometheus text 0.0.4.
///
/// The number of series is bounded: past it a new combination of labels is not published, and
/// `orchestra_metric_series_dropped_total` counts the handles that were asked for it, so that a mistake with labels cannot
/// fill the memory.
package final class MetricsRegistry: MetricsFactory {
    private struct Series: Hashable {
        let name: String
        let labels: String
    }

    private struct State {
        var numbers: [Series: NumberHandler] = [:]
        var histograms: [Series: HistogramHandler] = [:]
        var dropped = 0
    }

    private let state = Mutex(State())
    private let seriesLimit: Int

    /// Publishes at most `seriesLimit` series of numbers and as many histograms.
    package init(seriesLimit: Int = 4096) { self.seriesLimit = seriesLimit }

    /// A handle of a counter.
    package func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        self.number(label, dimensions)
    }

    /// A handle of a counter.
    package func makeFloatingPointCounter(
        label: String, dimensions: [(String, String)]
    ) -> any FloatingPointCounterHandler { self.number(label, dimensions) }

    /// A handle of a gauge.
    package func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        self.number(label, dimensions)
    }

    /// A handle of a histogram when it aggregates, else of a gauge.
    package func makeRecorder(
        label: String, dimensions: [(String, String)], aggregate: Bool
    ) -> any RecorderHandler {
        aggregate ? self.histogram(label, dimensions) : self.number(label, dimensions)
    }

    /// A handle of a histogram in seconds.
    package func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        self.histogram(label, dimensions)
    }

    /// Does nothing: a series is published for the life of the process.
    package func destroyCounter(_ handler: any CounterHandler) {}
    /// Does nothing: a series is published for the life of the process.
    package func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) {}
    /// Does nothing: a series is published for the life of the process.
    package func destroyMeter(_ handler: any MeterHandler) {}
    /// Does nothing: a series is published for the life of the process.
    package func destroyRecorder(_ handler: any RecorderHandler) {}
    /// Does nothing: a series is published for the life of the process.
    package func destroyTimer(_ handler: any TimerHandler) {}

    /// The text of all series, grouped by metric, each group with its help and type.
    package func render() -> String {
        let (numbers, histograms, dropped) = self.state.withLock { ($0.numbers, $0.histograms, $0.dropped) }
        var text = ""
        for (name, entry) in MetricCatalogue.entries.sorted(by: { $0.key < $1.key }) {
            var lines: [String] = []
            for (series, handler) in numbers where series.name == name {
                lines.append("\(name)\(series.labels) \(Self.format(handler.value))\n")
            }
            for (series, handler) in histograms where series.name == name {
                lines.append(handler.render(name: name, labels: series.labels))
            }
            if name == Self.droppedName, dropped > 0 { lines.append("\(name) \(dropped)\n") }
            guard !lines.isEmpty else { continue }
            text += "# HELP \(name) \(entry.help)\n# TYPE \(name) \(entry.kind.rawValue)\n"
            for line in lines.sorted() { text += line }
        }
        return text
    }

    private static let droppedName = "orchestra_metric_series_dropped_total"

    private func number(_ label: String, _ dimensions: [(String, String)]) -> NumberHandler {
        let series = Series(name: label, labels: Self.labels(dimensions))
        return self.state.withLock { state in
            if let known = state.numbers[series] { return known }
            let handler = NumberHandler()
            if state.numbers.count < self.seriesLimit {
                state.numbers[series] = handler
            } else {
                state.dropped += 1
            }
            return handler
        }
    }

    private func histogram(_ label: String, _ dimensions: [(String, String)]) -> HistogramHandler {
        let series = Series(name: label, labels: Self.labels(dimensions))
        return self.state.withLock { state in
            if let known = state.histograms[series] { return known }
            let handler = HistogramHandler()
            if state.histograms.count < self.seriesLimit {
                state.histograms[series] = handler
            } else {
                state.dropped += 1
            }
            return handler
        }
    }

    /// Labels in Prometheus' form, sorted by name and escaped; empty when there are none.
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

    /// A number as Prometheus reads it.
    static func format(_ value: Double) -> String {
        if let whole = Int64(exactly: value) { return String(whole) }
        return String(value)
    }
}
