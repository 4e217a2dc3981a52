import CoreMetrics
import Domain
import Foundation
import Logging
import Redaction
import Synchronization
import Telemetry
import TestSupport
import Testing

@Suite("Metrics")
struct MetricsTests {
    @Test("counters, gauges and histograms are rendered with help, type and escaped labels")
    func rendering() {
        let registry = MetricsRegistry()
        let jobs = Counter(
            label: "orchestra_jobs_total", dimensions: [("outcome", "completed"), ("action", "a\"b\\c\n")],
            factory: registry)
        jobs.increment(by: 3)
        Gauge(label: "orchestra_redis_up", factory: registry).record(1)
        Recorder(label: "orchestra_job_wait_seconds", factory: registry).record(0.2)
        let text = registry.render()
        #expect(text.contains("# TYPE orchestra_jobs_total counter"))
        #expect(text.contains(#"orchestra_jobs_total{action="a\"b\\c\n",outcome="completed"} 3"#))
        #expect(text.contains("orchestra_redis_up 1\n"))
        #expect(text.contains(#"orchestra_job_wait_seconds_bucket{le="0.1"} 0"#))
        #expect(text.contains(#"orchestra_job_wait_seconds_bucket{le="0.5"} 1"#))
        #expect(text.contains(#"orchestra_job_wait_seconds_bucket{le="+Inf"} 1"#))
        #expect(text.contains("orchestra_job_wait_seconds_count 1\n"))
    }

    @Test("a metric that the catalogue does not know is not published")
    func closedSet() {
        let registry = MetricsRegistry()
        Counter(label: "orchestra_unknown_total", factory: registry).increment()
        #expect(!registry.render().contains("unknown"))
    }

    @Test("every metric that the sources name is in the catalogue")
    func everyMetricIsPublished() throws {
        let named = try Regex(#"label: "(orchestra_[a-z_]+)""#)
        var labels: Set<String> = []
        let files = FileManager.default.enumerator(atPath: packageRoot + "/Sources")
        while let path = files?.nextObject() as? String {
            guard path.hasSuffix(".swift") else { continue }
            let text = try String(contentsOfFile: "\(packageRoot)/Sources/\(path)", encoding: .utf8)
            for match in text.matches(of: named) {
                if let label = match.output[1].substring { labels.insert(String(label)) }
            }
        }
        #expect(labels.count > 15)
        #expect(labels.subtracting(MetricCatalogue.entries.keys).isEmpty)
    }

    @Test("two handles of one series count together, from many tasks")
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

@Suite("Logs")
struct LogTests {
    @Test("a line is one JSON object; newlines are escaped and values under secret names replaced")
    func lines() throws {
        let lines = Mutex<[[UInt8]]>([])
        let handler = JSONLogHandler(component: "test", level: .info, now: { "2026-01-01T00:00:00.000Z" }) { line in
            lines.withLock { $0.append(line) }
        }
        let logger = Logger(label: "test") { _ in handler }
        logger.debug("not shown")
        logger.info("a\nb", metadata: ["job.id": "1\n{\"x\":1}", "redis.password": "hunter2", "api_key": "k"])
        let written = lines.withLock { $0 }
        #expect(written.count == 1)
        let line = try #require(written.first)
        #expect(line.count { $0 == 0x0a } == 1)
        let value = try JSONParser.parse(Array(line.dropLast()))
        #expect(value["msg"]?.string == "a\nb")
        #expect(value["job.id"]?.string == "1\n{\"x\":1}")
        #expect(value["redis.password"]?.string == "<secret>" && value["api_key"]?.string == "<secret>")
    }

    @Test("a secret prints as a placeholder in every way of printing")
    func secrets() {
        let secret = Secret("hunter2")
        #expect("\(secret)" == "<secret>" && String(reflecting: secret) == "<secret>")
        var dumped = ""
        dump(secret, to: &dumped)
        #expect(!dumped.contains("hunter2"))
        #expect(secret.expose { $0 } == "hunter2")
    }
}
