import CoreMetrics
import Synchronization
import Telemetry
import Testing

@testable import orchestra

@Suite("LogBuffer")
struct LogBufferTests {
    @Test("lines are taken in order, once")
    func order() {
        var buffer = LogBuffer(limit: 10)
        let accepted = [buffer.add([1]), buffer.add([2])]
        #expect(accepted == [true, true])
        let (first, second) = (buffer.take(), buffer.take())
        #expect(first == [[1], [2]])
        #expect(second.isEmpty && buffer.isEmpty)
    }

    @Test("a line that does not fit is dropped and counted")
    func limit() {
        var buffer = LogBuffer(limit: 3)
        let accepted = [buffer.add([1, 2]), buffer.add([3, 4]), buffer.add([5])]
        #expect(accepted == [true, false, true])
        #expect(buffer.dropped == 1)
    }

    @Test("there is room again after the lines were taken")
    func room() {
        var buffer = LogBuffer(limit: 1)
        _ = buffer.add([1])
        _ = buffer.take()
        let isAccepted = buffer.add([2])
        #expect(isAccepted)
    }

    @Test("dropped lines are reported once")
    func report() {
        var buffer = LogBuffer(limit: 0)
        _ = buffer.add([1])
        buffer.countFailure()
        let counts = [buffer.takeDropped(), buffer.takeDropped()]
        #expect(counts == [2, 0])
    }
}

@Suite("LogSink")
struct LogSinkTests {
    /// Collects what is written; `works` false makes every write fail.
    private final class Device: Sendable {
        private let lines = Mutex<[String]>([])
        let works = Atomic<Bool>(true)

        var written: [String] { self.lines.withLock { $0 } }

        func write(_ line: [UInt8]) -> Bool {
            guard self.works.load(ordering: .relaxed) else { return false }
            self.lines.withLock { $0.append(String(decoding: line, as: UTF8.self)) }
            return true
        }
    }

    private func sink(limit: Int = 100, _ device: Device) -> (LogSink, MetricsRegistry) {
        let registry = MetricsRegistry()
        let counter = Counter(label: "orchestra_log_lines_dropped_total", factory: registry)
        return (LogSink(limit: limit, dropped: counter) { device.write($0) }, registry)
    }

    @Test("lines are written in order when the sink is drained, not before")
    func order() {
        let device = Device()
        let (sink, _) = self.sink(device)
        sink.write(Array("a\n".utf8))
        sink.write(Array("b\n".utf8))
        #expect(device.written.isEmpty)
        sink.drain()
        #expect(device.written == ["a\n", "b\n"])
    }

    @Test("while nothing is read, lines past the limit are dropped, counted, and reported afterwards")
    func stalledReader() {
        let device = Device()
        let (sink, registry) = self.sink(limit: 4, device)
        for _ in 0..<5 { sink.write(Array("x\n".utf8)) }
        #expect(registry.render().contains("orchestra_log_lines_dropped_total 3\n"))
        sink.drain()
        #expect(device.written.count { $0 == "x\n" } == 2)
        #expect(device.written.contains { $0.contains(#""msg":"log lines were dropped","count":3"#) })
    }

    @Test("lines that cannot be written are dropped, counted, and reported when writing works again")
    func fullDisk() {
        let device = Device()
        let (sink, registry) = self.sink(device)
        device.works.store(false, ordering: .relaxed)
        sink.write(Array("lost\n".utf8))
        sink.drain()
        device.works.store(true, ordering: .relaxed)
        sink.write(Array("kept\n".utf8))
        sink.drain()
        #expect(registry.render().contains("orchestra_log_lines_dropped_total 1\n"))
        #expect(device.written.first == "kept\n")
        #expect(device.written.last?.contains(#""count":1"#) == true)
    }

    @Test("nothing is reported when nothing was dropped")
    func noReport() {
        let device = Device()
        let (sink, _) = self.sink(device)
        sink.write(Array("a\n".utf8))
        sink.drain()
        #expect(device.written == ["a\n"])
    }

    @Test("with a thread of its own the sink finishes by itself")
    func thread() async {
        let device = Device()
        let (sink, _) = self.sink(device)
        sink.startThread()
        sink.write(Array("a\n".utf8))
        await sink.finish(within: .seconds(60))
        #expect(device.written == ["a\n"])
    }

    @Test("a sink without lines is finished")
    func idle() async {
        let (sink, _) = self.sink(Device())
        await sink.finish(within: .seconds(60))
    }

    @Test("a sink that is never drained ends its wait at the limit")
    func neverDrained() async {
        let (sink, _) = self.sink(Device())
        sink.write([1])
        await sink.finish(within: .zero)
    }
}

@Suite("StopRequest")
struct StopRequestTests {
    @Test("the first reason stays")
    func first() async {
        let request = StopRequest()
        #expect(request.error == 0)
        request.request(because: 32)
        request.request(because: 5)
        await request.requested()
        #expect(request.error == 32)
    }
}

@Suite("FirstReceipt")
struct FirstReceiptTests {
    @Test("only the first call gets it")
    func once() {
        let receipt = FirstReceipt()
        #expect(receipt.take())
        #expect(!receipt.take())
    }
}

@Suite("PortBox")
struct PortBoxTests {
    @Test("the port is zero until it is bound, and the end is seen by a later waiter")
    func port() async {
        let box = PortBox()
        #expect(box.value == 0)
        box.set(41)
        box.finish()
        await box.finished()
        #expect(box.value == 41)
    }
}
