import NIOCore
import Testing

@testable import Redis

@Suite("The deadline of a reply")
struct ReplyDeadlineTests {
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000)

    private func deadline(sending: Int, received: Int64 = 0) -> ReplyDeadline {
        ReplyDeadline(at: self.start, timeout: .seconds(3), sending: sending, received: received)
    }

    @Test("a small batch has the caller's timeout")
    func small() {
        #expect(self.deadline(sending: 20).remaining(at: self.start, received: 0) == .seconds(3))
    }

    @Test("a batch of 300 jobs has the time that 256 kbit/s need for it")
    func slowLink() {
        let bytes = 300 * 1024
        let needed = TimeAmount.milliseconds(Int64(bytes) * 1000 / 30_000)
        #expect(self.deadline(sending: bytes).remaining(at: self.start, received: 0) > needed)
    }

    @Test("the time for a batch's own bytes is bounded, so that a peer that reads nothing is noticed")
    func bounded() {
        let remaining = self.deadline(sending: 1 << 30).remaining(at: self.start, received: 0)
        #expect(remaining == .seconds(3) + ReplyDeadline.longestTransfer)
    }

    @Test("bytes that were received since extend the time; those before do not")
    func progress() {
        let deadline = self.deadline(sending: 0, received: 1_000_000)
        #expect(deadline.remaining(at: self.start, received: 1_000_000) == .seconds(3))
        let second = 1_000_000 + ReplyDeadline.slowestLink
        #expect(deadline.remaining(at: self.start, received: second) == .seconds(4))
    }

    @Test("nothing remains once the time is over")
    func over() {
        let deadline = self.deadline(sending: 0)
        #expect(deadline.remaining(at: self.start + .seconds(3), received: 0) == .zero)
        #expect(deadline.remaining(at: self.start + .seconds(9), received: 0) == .zero)
    }
}
