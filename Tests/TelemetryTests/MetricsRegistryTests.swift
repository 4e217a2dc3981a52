import CoreMetrics
import Foundation
import TestSupport
import Testing

@testable import Telemetry

@Suite("MetricsRegistry")
struct MetricsRegistryTests {
    @Test("a counter is rendered with its help, its type and its labels in order")
    func counter() {
        let registry = MetricsRegistry()
        Counter(
            label: "orchestra_jobs_total", dimensions: [("outcome", "completed"), ("action", "a")], factory: registry
        ).increment(by: 3)
        let text = registry.render()
        #expect(text.contains("# HELP orchestra_jobs_total "))
        #expect(text.contains("# TYPE orchestra_jobs_total counter\n"))
        #expect(text.contains(#"orchestra_jobs_total{action="a",outcome="completed"} 3"#))
    }

    @Test("quotes, backslashes and newlines in a label are escaped")
    func escaping() {
        #expect(MetricsRegistry.labels([("action", "a\"b\\c\n")]) == #"{action="a\"b\\c\n"}"#)
    }

    @Test("a series without labels has no braces")
    func noLabels() { #expect(MetricsRegistry.labels([]).isEmpty) }

    @Test("a gauge has the value that was recorded last")
    func gauge() {
        let registry = MetricsRegistry()
        let gauge = Gauge(label: "orchestra_redis_up", factory: registry)
        gauge.record(1)
        gauge.record(0)
        #expect(registry.render().contains("orchestra_redis_up 0\n"))
    }

    @Test("a histogram counts a value in every bucket from its bound up")
    func histogram() {
        let registry = MetricsRegistry()
        Recorder(label: "orchestra_job_wait_seconds", factory: registry).record(0.2)
        let text = registry.render()
        #expect(text.contains(#"orchestra_job_wait_seconds_bucket{le="0.1"} 0"#))
        #expect(text.contains(#"orchestra_job_wait_seconds_bucket{le="0.5"} 1"#))
        #expect(text.contains(#"orchestra_job_wait_seconds_bucket{le="+Inf"} 1"#))
        #expect(text.contains("orchestra_job_wait_seconds_count 1\n"))
    }

    @Test("a timer is recorded in seconds")
    func timer() {
        let registry = MetricsRegistry()
        Timer(label: "orchestra_job_duration_seconds", factory: registry).recordNanoseconds(2_500_000_000)
        #expect(registry.render().contains("orchestra_job_duration_seconds_sum 2.5\n"))
    }

    @Test("a metric that is not in the catalogue is not published")
    func closedSet() {
        let registry = MetricsRegistry()
        Counter(label: "orchestra_unknown_total", factory: registry).increment()
        #expect(!registry.render().contains("unknown"))
    }

    @Test("a series past the limit is not published, and is counted")
    func overflow() {
        let registry = MetricsRegistry(seriesLimit: 2)
        for name in ["a", "b", "c"] {
            Counter(label: "orchestra_jobs_total", dimensions: [("action", name)], factory: registry).increment()
        }
        let text = registry.render()
        #expect(text.contains(#"{action="b"} 1"#) && !text.contains(#"{action="c"}"#))
        #expect(text.contains("orchestra_metric_series_dropped_total 1\n"))
    }

    @Test("a series that is published already is not counted as dropped past the limit")
    func knownSeries() {
        let registry = MetricsRegistry(seriesLimit: 1)
        for _ in 0..<3 { Counter(label: "orchestra_audit_rows_total", factory: registry).increment() }
        #expect(registry.render().contains("orchestra_audit_rows_total 3\n"))
        #expect(!registry.render().contains("dropped"))
    }

    @Test("histograms past the limit are counted too")
    func histogramOverflow() {
        let registry = MetricsRegistry(seriesLimit: 0)
        Recorder(label: "orchestra_job_wait_seconds", factory: registry).record(1)
        #expect(registry.render().contains("orchestra_metric_series_dropped_total 1\n"))
    }

    @Test("an integer is printed without a fraction", arguments: [(1.0, "1"), (0.5, "0.5"), (-3.0, "-3")])
    func format(value: Double, text: String) { #expect(MetricsRegistry.format(value) == text) }

    @Test("handles of one series count together, from many tasks")
    func concurrent() async {
        let registry = MetricsRegistry()
        await withDiscardingTaskGroup { group in
            for _ in 0..<8 {
                group.addTask {
                    let counter = Counter(label: "orchestra_audit_rows_total", factory: registry)
                    for _ in 0..<10_000 { counter.increment() }
                }
            }
        }
        #expect(registry.render().contains("orchestra_audit_rows_total 80000\n"))
    }
}
