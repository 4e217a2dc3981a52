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

    @Test("events of a launch that wait are bounded, and others pass when one has ended")
    func waiting() throws {
        var limits = EgressServerLimits()
        limits.launchUnacknowledged = 2
        let (trail, loop) = (MemoryTrail(.holds), EmbeddedEventLoop())
        let recorder = LaunchRecorder(trail, limits)
        let event: JSONValue = ["decision": "allow"]
        let first = [recorder.record(event, on: loop), recorder.record(event, on: loop)]
        let third = recorder.record(event, on: loop)
        #expect(throws: LaunchRecorder.Busy.self) { try third.wait() }
        trail.refuseHeld()
        for result in first { #expect(throws: MemoryTrail.Full.self) { try result.wait() } }
        _ = recorder.record(event, on: loop)
        #expect(trail.all.count == 3)
        trail.refuseHeld()
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
