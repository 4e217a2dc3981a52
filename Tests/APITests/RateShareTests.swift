import Testing

@testable import API

@Suite("RateShare")
struct RateShareTests {
    private static func grant(
        _ granted: Int, wait: Int = 0, bucket: Int = 7, bucketEnd: Int = 1000
    ) -> RateShare.Grant {
        RateShare.Grant(
            granted: granted, remaining: 50, wait: wait, reset: 60_000, bucket: bucket, bucketEnd: bucketEnd)
    }

    /// A share that was granted so many at 0 ms.
    private static func share(_ grant: RateShare.Grant) -> RateShare {
        var share = RateShare(at: moment(-10_000))
        _ = share.question(limit: 1000, at: moment(0))
        share.received(grant, sentAt: moment(0), at: moment(0))
        return share
    }

    @Test("a fresh share knows nothing, so Redis must be asked")
    func fresh() {
        var share = RateShare(at: moment(0))
        #expect(share.take(at: moment(0)) == nil)
        #expect(share.question(limit: 1000, at: moment(0)).wanted > 0)
    }

    @Test("as many requests pass as were granted, then Redis is asked again")
    func passes() {
        var share = Self.share(Self.grant(3))
        #expect((0..<3).map { _ in share.take(at: moment(10)) } == [true, true, true])
        #expect(share.take(at: moment(10)) == nil)
    }

    @Test("a share ends with its bucket, and what is left goes back to that bucket")
    func ends() {
        var share = Self.share(Self.grant(3, bucket: 7, bucketEnd: 100))
        #expect(share.take(at: moment(99)) == true)
        #expect(share.take(at: moment(100)) == nil)
        let question = share.question(limit: 1000, at: moment(100))
        #expect(question.returned == 2 && question.bucket == 7)
        #expect(share.left == 0)
    }

    @Test("a share ends half a second after it was taken, however long its bucket lasts")
    func lasts() {
        var share = Self.share(Self.grant(3, bucketEnd: 60_000))
        #expect(share.take(at: moment(499)) == true)
        #expect(share.take(at: moment(500)) == nil)
    }

    @Test("the first request of a share passes although the answer came after the bucket's end")
    func first() {
        var share = RateShare(at: moment(-10_000))
        _ = share.question(limit: 1000, at: moment(0))
        share.received(Self.grant(2, bucketEnd: 5), sentAt: moment(0), at: moment(20))
        #expect(share.take(at: moment(20)) == true)
        #expect(share.take(at: moment(20)) == nil)
    }

    @Test("a refusal is remembered until there is room")
    func refusal() {
        var share = Self.share(Self.grant(0, wait: 300))
        #expect(share.take(at: moment(299)) == false)
        #expect(share.reset == 300)
        #expect(share.take(at: moment(300)) == nil)
    }

    @Test("a refusal is remembered for a second at most")
    func longRefusal() {
        var share = Self.share(Self.grant(0, wait: 50_000))
        #expect(share.take(at: moment(999)) == false)
        #expect(share.take(at: moment(1000)) == nil)
    }

    @Test("a share that is used up at once is followed by one of twice the size, up to a hundredth of the limit")
    func grows() {
        var share = RateShare(at: moment(0))
        var sizes: [Int] = []
        for round in 0..<6 {
            let time = moment(round * 10)
            let question = share.question(limit: 1000, at: time)
            sizes.append(question.wanted)
            share.received(Self.grant(question.wanted), sentAt: time, at: time)
            while share.take(at: time) == true {}
        }
        #expect(sizes == [2, 4, 8, 10, 10, 10])
    }

    @Test("after half a second without use the smallest share is asked for")
    func shrinks() {
        var share = Self.share(Self.grant(10))
        #expect(share.question(limit: 1000, at: moment(500)).wanted == 1)
    }

    @Test("a limit below a hundred is asked for one by one")
    func small() {
        var share = Self.share(Self.grant(1))
        #expect(share.take(at: moment(0)) == true)
        #expect(share.question(limit: 99, at: moment(1)).wanted == 1)
    }
}
