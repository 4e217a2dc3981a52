import Testing

@testable import Telemetry

@Suite("NumberHandler")
struct NumberHandlerTests {
    @Test("increments and decrements add up")
    func adds() {
        let handler = NumberHandler()
        handler.increment(by: Int64(2))
        handler.increment(by: 0.5)
        handler.decrement(by: 1.0)
        #expect(handler.value == 1.5)
    }

    @Test("a reset sets zero")
    func resets() {
        let handler = NumberHandler()
        handler.set(Int64(7))
        handler.reset()
        #expect(handler.value == 0)
    }
}

@Suite("HistogramHandler")
struct HistogramHandlerTests {
    @Test("a value on a bound belongs to that bucket")
    func bound() {
        let handler = HistogramHandler()
        handler.record(Int64(1))
        #expect(handler.render(name: "m", labels: "").contains("m_bucket{le=\"1\"} 1\n"))
        #expect(handler.render(name: "m", labels: "").contains("m_bucket{le=\"0.5\"} 0\n"))
    }

    @Test("labels stand in front of the bound")
    func labels() {
        let text = HistogramHandler().render(name: "m", labels: #"{a="b"}"#)
        #expect(text.contains(#"m_bucket{a="b",le="+Inf"} 0"#) && text.contains(#"m_count{a="b"} 0"#))
    }
}

@Suite("ConnectionGate")
struct ConnectionGateTests {
    @Test("no more connections than the limit are admitted at once")
    func limit() {
        let gate = ConnectionGate(limit: 1)
        #expect(gate.enter())
        #expect(!gate.enter())
        gate.leave()
        #expect(gate.enter())
    }
}

@Suite("ProcessMetrics")
struct ProcessMetricsTests {
    @Test("the figures of this process have Prometheus' standard names")
    func names() {
        let text = ProcessMetrics.render()
        for name in ["process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"] {
            #expect(text.contains("# TYPE \(name) "), "\(name)")
        }
    }
}
