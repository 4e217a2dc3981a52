import Domain
import Egress
import NIOCore
import NIOEmbedded
import Synchronization
import Testing

@testable import EgressServer

/// What passes between a node and its egress server.
@Suite("The link to the node")
struct NodeLinkTests {
    private static let answers: [EgressAcknowledgement] = [
        .init(), .init(credential: "sk-\u{2028}\"x"), .init(refusal: .init(.budgetSpent, "the budget 'a' is spent")),
    ]

    @Test("an answer is read back from its line, in pieces of any size", arguments: Self.answers, [1, 3, 1000])
    func line(_ answer: EgressAcknowledgement, _ size: Int) throws {
        let read = Mutex<[(UInt64, EgressAcknowledgement)]>([])
        let channel = EmbeddedChannel(
            handler: NodeLinkHandler(
                acknowledged: { number, answer in read.withLock { $0.append((number, answer)) } }, ended: {}))
        let bytes = Array("17".utf8) + answer.encoded + Array("\n18\n".utf8)
        for start in stride(from: 0, to: bytes.count, by: size) {
            try channel.writeInbound(ByteBuffer(bytes: bytes[start...].prefix(size)))
        }
        let all = read.withLock { $0 }
        #expect(all.map(\.0) == [17, 18] && all.map(\.1) == [answer, .init()])
    }

    @Test(
        "a line that is no answer is passed over",
        arguments: ["x\n", "1 {\n", "1 {\"reason\":\"other\"}\n", "1 []\n", "1 5\n", "\n", "-1\n"])
    func malformed(_ line: String) throws {
        let read = Mutex<[UInt64]>([])
        let channel = EmbeddedChannel(
            handler: NodeLinkHandler(acknowledged: { number, _ in read.withLock { $0.append(number) } }, ended: {}))
        try channel.writeInbound(ByteBuffer(string: line + "2\n"))
        #expect(read.withLock { $0 } == [2])
    }

    @Test("the end of the node is reported once")
    func ended() throws {
        let ends = Mutex(0)
        let channel = EmbeddedChannel(
            handler: NodeLinkHandler(acknowledged: { _, _ in }, ended: { ends.withLock { $0 += 1 } }))
        channel.pipeline.fireChannelInactive()
        #expect(ends.withLock { $0 } == 1)
    }

    @Test("events are numbered, answered by their numbers, and fail at their limit or at the node's end")
    func link() throws {
        var limits = EgressServerLimits()
        limits.audit = .seconds(3)
        let sent = Mutex<[String]>([])
        let lost = Mutex(0)
        let link = AuditLink(
            limits: limits,
            send: { bytes in
                sent.withLock { $0.append(String(decoding: bytes, as: UTF8.self)) }
                return true
            }, lost: { lost.withLock { $0 += 1 } })
        let loop = EmbeddedEventLoop()
        let results = (0..<3).map { _ in link.record(["decision": "allow"], on: loop) }
        #expect(sent.withLock { $0 } == (1...3).map { #"{"n":\#($0),"event":{"decision":"allow"}}"# + "\n" })
        link.acknowledged(2, .init(credential: "c"))
        link.acknowledged(2, .init(credential: "d"))
        link.acknowledged(99, .init())
        #expect(try results[1].wait().credential == "c")
        loop.advanceTime(by: .seconds(3))
        #expect(throws: EgressServerError.self) { try results[0].wait() }
        #expect(lost.withLock { $0 } == 2, "two had no answer")
        let last = link.record(["decision": "allow"], on: loop)
        link.closed()
        #expect(throws: EgressServerError.self) { try last.wait() }
        #expect(throws: EgressServerError.self) { try link.record(["x": 1], on: loop).wait() }
    }

    @Test("a decision whose turn comes too late is refused, and an end is not")
    func late() throws {
        var limits = EgressServerLimits()
        (limits.launchUnacknowledged, limits.audit) = (1, .seconds(3))
        let (trail, loop) = (HeldTrail(), EmbeddedEventLoop())
        let recorder = LaunchRecorder(trail, limits)
        _ = recorder.record(["decision": "allow", "phase": "decided"], on: loop)
        let decided = recorder.record(["decision": "allow", "phase": "decided"], on: loop)
        _ = recorder.record(["decision": "allow", "phase": "ended"], on: loop)
        loop.advanceTime(by: .seconds(4))
        trail.refuseHeld()
        loop.run()
        #expect(throws: LaunchRecorder.Late.self) { try decided.wait() }
        #expect(trail.all.map { $0["phase"] } == ["decided", "ended"])
        trail.refuseHeld()
    }

    @Test("refusals above the rate are counted in the next row, and the rest at the end of the launch")
    func counted() throws {
        var limits = EgressServerLimits()
        limits.refusalBurst = 2
        let (trail, loop) = (HeldTrail(), EmbeddedEventLoop())
        let recorder = LaunchRecorder(trail, limits)
        for _ in 0..<5 { _ = recorder.record(["decision": "deny", "phase": "decided"], on: loop) }
        #expect(trail.all.count == 2)
        // The end of what was allowed is never counted away.
        _ = recorder.record(["decision": "deny", "phase": "ended"], on: loop)
        #expect(trail.all.count == 3)
        recorder.flush(on: loop)
        #expect(trail.all.last?["count"] == .integer(3))
        trail.refuseHeld()
    }
}
