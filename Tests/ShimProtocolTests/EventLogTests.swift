import Domain
import Testing

@testable import ShimProtocol

@Suite("EventLog")
struct EventLogTests {
    @Test("events are numbered lines of JSON over every cut; others are counted, and memory is bounded")
    func events() {
        let bytes = Array("{\"a\":1}\nno\n\n{\"b\":2}\n{\"c\"".utf8)
        for cut in 0...bytes.count {
            var log = EventLog()
            let new = log.take(Array(bytes[..<cut]), at: 3) + log.take(Array(bytes[cut...]), at: 4)
            #expect(new.map(\.number) == [1, 2])
            #expect(new.map { String(decoding: $0.line, as: UTF8.self) } == ["{\"a\":1}", "{\"b\":2}"])
            #expect(log.refused == 1)
        }
        var log = EventLog()
        let line = [UInt8(ascii: "{")] + [UInt8](repeating: 0x20, count: 10_000) + Array("}\n".utf8)
        for _ in 0..<100 { _ = log.take(line, at: 0) }
        #expect(log.lastNumber == 100 && log.events.reduce(0) { $0 + $1.line.count } <= EventLog.keptBytes * 5 / 4)
        #expect(log.after(98).map(\.number) == [99, 100])
        _ = log.take([UInt8](repeating: 0x7B, count: EventLog.longestLine * 2) + [0x0A], at: 0)
        #expect(log.lastNumber == 100 && log.refused == 1)
    }

    @Test("a line of the longest length is an event, a longer one is refused")
    func longestLine() {
        var log = EventLog()
        let longest =
            [UInt8(ascii: "{")] + [UInt8](repeating: 0x20, count: EventLog.longestLine - 2) + Array("}\n".utf8)
        #expect(log.take(longest, at: 0).count == 1)
        #expect(log.take([UInt8(ascii: "{"), 0x20] + longest.dropFirst(), at: 0).isEmpty)
        #expect(log.refused == 1)
    }

    @Test("an event has the time of its newline")
    func time() {
        var log = EventLog()
        _ = log.take(Array("{".utf8), at: 1)
        #expect(log.take(Array("}\n".utf8), at: 9).map(\.time) == [9])
    }

    @Test("a follower that is ahead of the log gets nothing")
    func ahead() {
        var log = EventLog()
        _ = log.take(Array("{}\n".utf8), at: 0)
        #expect(log.after(5).isEmpty && log.after(0).count == 1)
    }
}
