import Testing

@testable import Shim

@Suite("ProgressRelay")
struct ProgressRelayTests {
    @Test("a whole line is sent with its mark, a begun one is not")
    func line() {
        var relay = ProgressRelay()
        relay.take(Array("10 ha".utf8))
        #expect(!relay.isPending)
        relay.take(Array("lf\n20".utf8))
        #expect(relay.isDue(at: 0))
        #expect(String(decoding: relay.next(at: 0), as: UTF8.self) == "progress 10 half\n")
        #expect(!relay.isPending)
    }

    @Test("of several lines only the newest is sent")
    func newest() {
        var relay = ProgressRelay()
        relay.take(Array("1\n2\n3\n".utf8))
        #expect(relay.next(at: 0) == Array("progress 3\n".utf8))
    }

    @Test("lines are sent at most ten a second")
    func interval() {
        var relay = ProgressRelay()
        relay.take(Array("1\n".utf8))
        _ = relay.next(at: 1000)
        relay.take(Array("2\n".utf8))
        #expect(!relay.isDue(at: 1099) && relay.isDue(at: 1100))
    }

    @Test("a long line is cut so that a pipe takes it whole")
    func cut() {
        var relay = ProgressRelay()
        relay.take([UInt8](repeating: 0x61, count: 100_000) + [0x0A])
        #expect(relay.next(at: 0).count < 4096)
    }

    @Test("an empty line is not progress")
    func empty() {
        var relay = ProgressRelay()
        relay.take(Array("1\n\n".utf8))
        #expect(relay.next(at: 0) == Array("progress 1\n".utf8))
    }
}
