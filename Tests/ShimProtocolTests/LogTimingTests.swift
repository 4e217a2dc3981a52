import Domain
import Testing

@testable import ShimProtocol

@Suite("LogTiming")
struct LogTimingTests {
    @Test("times of a log survive their encoding; half a pair is left out")
    func timing() {
        let bytes = LogTiming.pair(milliseconds: 70_000, count: 3) + LogTiming.pair(milliseconds: .max, count: 1 << 20)
        let pairs = LogTiming.pairs(bytes + [0, 0, 0])
        #expect(pairs.map(\.milliseconds) == [70_000, UInt64(UInt32.max)])
        #expect(pairs.map(\.count) == [3, 1 << 20])
    }

    @Test("an empty file has no pairs")
    func empty() {
        #expect(LogTiming.pairs([]).isEmpty)
    }
}
