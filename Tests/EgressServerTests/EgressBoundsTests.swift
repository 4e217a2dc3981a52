import CLinux
import Domain
import Glibc
import NIOCore
import NIOEmbedded
import Testing

@testable import EgressServer

@Suite("The bounds of the egress server")
struct EgressBoundsTests {
    @Test("a rate gives its burst at once, then so many a second, and never more than its burst")
    func rate() {
        var rate = TokenBucket(burst: 3, perSecond: 2)
        var now = NIODeadline.uptimeNanoseconds(1)
        func taken() -> Int { (0..<10).count { _ in rate.take(at: now) } }
        #expect(taken() == 3)
        now = now + .milliseconds(499)
        #expect(taken() == 0)
        now = now + .milliseconds(2)
        #expect(taken() == 1)
        now = now + .seconds(1_000_000_000)
        #expect(taken() == 3)
    }

    @Test("of a launch only so many events are under way, and others have their turn in order")
    func waiting() throws {
        var limits = EgressServerLimits()
        limits.launchUnacknowledged = 2
        let (trail, loop) = (HeldTrail(), EmbeddedEventLoop())
        let recorder = LaunchRecorder(trail, limits)
        let results = (0..<5).map { recorder.record(["decision": "allow", "number": .integer($0)], on: loop) }
        for under in [2, 4, 5] {
            #expect(trail.all.map { $0["number"] } == (0..<Int64(under)).map { .integer($0) })
            trail.refuseHeld()
            loop.run()
        }
        for result in results { #expect(throws: HeldTrail.Full.self) { try result.wait() } }
        _ = recorder.record(["decision": "allow"], on: loop)
        #expect(trail.all.count == 6, "nothing is counted as under way any more")
        trail.refuseHeld()
    }

    @Test("room for bodies is taken in whole or not at all, and comes back")
    func bodies() {
        let bytes = BodyBytes(limit: 10)
        #expect(bytes.take(6) && !bytes.take(5) && bytes.take(4))
        bytes.give(6)
        #expect(bytes.take(6) && !bytes.take(1))
    }

    @Test("an event fails at once while the node does not read")
    func unreadLink() {
        let (link, loop) = (AuditLink { _ in false }, EmbeddedEventLoop())
        let result = link.record(["decision": "allow"], on: loop)
        #expect(throws: EgressServerError.self) { try result.wait() }
    }

    @Test("a connection that ends without a byte is a look, and one without a listener is malformed")
    func hello() throws {
        for (bytes, isProbe) in [([], true), (Array("x\n".utf8), false), (Array("no newline".utf8), false)] {
            var ends: [Int32] = [0, 0]
            try #require(unsafe orc_socket_pair(&ends) == 0)
            defer { close(ends[0]) }
            _ = unsafe write(ends[1], bytes, bytes.count)
            close(ends[1])
            switch Descriptors.receiveHello(ends[0]) {
            case .probe: #expect(isProbe)
            case .malformed: #expect(!isProbe)
            case .listener: Issue.record("a listener out of nothing")
            }
        }
    }
}
