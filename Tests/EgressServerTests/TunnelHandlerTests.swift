import Domain
import Egress
import NIOCore
import NIOEmbedded
import NIOPosix
import Synchronization
import Testing
import TransportSecurity

@testable import EgressServer

/// A trail that answers at once.
private struct AnsweringTrail: EgressRecorder {
    final class Events: Sendable { let all = Mutex<[JSONValue]>([]) }

    struct Full: Error {}
    let events = Events()
    /// Nil when it takes nothing.
    var answer: EgressAcknowledgement? = EgressAcknowledgement()

    func record(_ event: JSONValue, on loop: any EventLoop) -> EventLoopFuture<EgressAcknowledgement> {
        self.events.all.withLock { $0.append(event) }
        return self.answer.map { loop.makeSucceededFuture($0) } ?? loop.makeFailedFuture(Full())
    }
}

/// A resolver that knows nothing.
private struct NoResolver: EgressResolver {
    func addresses(of name: HostName, on loop: any EventLoop) -> EventLoopFuture<EgressResolution> {
        loop.makeSucceededFuture(.failed)
    }
}

/// A resolver that has one address for every name.
private struct OneAddress: EgressResolver {
    func addresses(of name: HostName, on loop: any EventLoop) -> EventLoopFuture<EgressResolution> {
        loop.makeSucceededFuture(.addresses([EgressAddress(version4Bits: 0xcb00_7105)]))
    }
}

/// Connections of callers on a channel in memory: what is refused, and what has to wait.
@Suite("Connections of callers")
struct TunnelHandlerTests {
    private static let entries: [JSONValue] = [
        ["id": "a", "host": "a.example.test"],
        ["id": "m", "host": "m.example.test", "door": "model", "provider": "openai", "credential": "c"],
    ]

    private static func call(_ body: String = #"{"model":"m","max_tokens":1,"messages":[]}"#) -> String {
        "POST /model/openai/v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer sk-proj-s\r\n"
            + "content-length: \(body.utf8.count)\r\n\r\n\(body)"
    }

    private static func channel(
        _ trail: AnsweringTrail, refusal: EgressReason? = nil, bodies: [BodyBytes] = [BodyBytes(limit: 1_000_000)],
        resolver: any EgressResolver = NoResolver(), on loop: EmbeddedEventLoop = EmbeddedEventLoop(),
        upstreams: UpstreamPools? = nil, pool: NIOThreadPool = .singleton
    ) throws -> EmbeddedChannel {
        var configuration = TunnelConfiguration(rules: try EgressRules(parsing: Self.entries), listenerPorts: [3128])
        configuration.launchSecret = "s"
        let surroundings = TunnelSurroundings(
            caller: EgressCaller(
                workspace: try WorkspaceID("acme"), job: JobID(milliseconds: 1, randomHigh: 2, randomLow: 3), launch: 1),
            generation: 1, configuration: configuration, limits: EgressServerLimits(), resolver: resolver,
            overrides: UpstreamOverrides([:]), recorder: trail, authorityFile: nil, contexts: TLSClientContexts(),
            upstreams: upstreams ?? UpstreamPools([]), bodies: bodies, pool: pool, wall: { 1 }
        )
        let channel = EmbeddedChannel(handlers: [], loop: loop)
        try channel.pipeline.syncOperations.addHandler(
            TunnelHandler(surroundings, channel: channel, refusal: refusal))
        try channel.connect(to: SocketAddress(unixDomainSocketPath: "/none")).wait()
        return channel
    }

    private static func answer(_ channel: EmbeddedChannel) throws -> String {
        channel.embeddedEventLoop.run()
        var text = ""
        while let buffer = try channel.readOutbound(as: ByteBuffer.self) {
            text += String(decoding: buffer.readableBytesView, as: UTF8.self)
        }
        return text
    }

    private static let cases: [(input: String, reason: String, status: Int)] = [
        ("GET / HTTP/1.1\r\n\r\n", "not_a_proxy_request", 400),
        ("CONNECT b.example.test:443 HTTP/1.1\r\n\r\n", "host_not_allowed", 403),
        ("CONNECT a.example.test:443 HTTP/1.1\r\n\r\n", "resolution_failed", 502),
        ("CONNECT 127.0.0.1:3128 HTTP/1.1\r\n\r\n", "own_listener", 421), (Self.call("{"), "malformed_request", 400),
        (Self.call(), "resolution_failed", 502),
    ]

    @Test("what cannot be reached is answered, recorded and closed", arguments: Self.cases.indices)
    func refused(_ index: Int) throws {
        let (input, reason, status) = Self.cases[index]
        let trail = AnsweringTrail()
        let channel = try Self.channel(trail)
        try channel.writeInbound(ByteBuffer(string: input))
        let answer = try Self.answer(channel)
        #expect(
            answer.hasPrefix("HTTP/1.1 \(status) ") && answer.contains("x-orchestra-reason: \(reason)"), "\(answer)")
        #expect(trail.events.all.withLock { $0.last?["reason"] } == .string(reason))
        channel.embeddedEventLoop.advanceTime(by: .seconds(120))
        #expect(!channel.isActive)
    }

    @Test("a connection above the limit is answered without a look at its bytes")
    func tooMany() throws {
        let channel = try Self.channel(AnsweringTrail(), refusal: .tooManyTunnels)
        #expect(try Self.answer(channel).hasPrefix("HTTP/1.1 503 "))
    }

    @Test(
        "a head or a body that does not come in time ends the connection",
        arguments: ["", "CONNECT a", "\(Self.call().dropLast())"])
    func slow(_ start: String) throws {
        let channel = try Self.channel(AnsweringTrail())
        if !start.isEmpty { try channel.writeInbound(ByteBuffer(string: start)) }
        channel.embeddedEventLoop.advanceTime(by: .seconds(9))
        #expect(try Self.answer(channel).isEmpty && channel.isActive)
        channel.embeddedEventLoop.advanceTime(by: .seconds(2))
        #expect(try Self.answer(channel).contains("x-orchestra-reason: deadline_passed"))
    }

    @Test("a call that is not admitted has the node's reason, and one that the trail does not take is refused")
    func admission() throws {
        let spent = AnsweringTrail(answer: .init(refusal: .init(.budgetSpent, "the budget 'a' is spent")))
        let channel = try Self.channel(spent)
        try channel.writeInbound(ByteBuffer(string: Self.call()))
        #expect(try Self.answer(channel).hasPrefix("HTTP/1.1 402 "))
        #expect(spent.events.all.withLock { $0.count } == 1)
        let full = AnsweringTrail(answer: nil)
        let other = try Self.channel(full)
        try other.writeInbound(ByteBuffer(string: Self.call()))
        #expect(try Self.answer(other).contains("audit_unavailable"))
        // The end settles what the node may have reserved.
        let events = full.events.all.withLock { $0 }
        #expect(events.map { $0["phase"] } == ["decided", "ended"])
        #expect(events[0]["model"]?["reservation"] == events[1]["model"]?["reservation"])
    }

    @Test("a body for which there is no room is refused, and the room comes back with the end")
    func room() throws {
        let trail = AnsweringTrail()
        let channel = try Self.channel(trail, bodies: [BodyBytes(limit: 10)])
        try channel.writeInbound(ByteBuffer(string: Self.call()))
        #expect(try Self.answer(channel).contains("too_many_tunnels"))
        // It is a refusal like any other, so that its rows are bounded.
        #expect(trail.events.all.withLock { $0 }.map { $0["phase"] } == ["decided"])
        let bytes = BodyBytes(limit: 50)
        let other = try Self.channel(AnsweringTrail(), bodies: [bytes])
        try other.writeInbound(ByteBuffer(string: Self.call()))
        #expect(try Self.answer(other).contains("resolution_failed") && bytes.take(50))
    }

    @Test("a body is counted for as long as its check holds it, also when its caller has left")
    func checkedBody() async throws {
        let text = String(repeating: "x", count: 100_000)
        let body = #"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"\#(text)"}]}"#
        let bytes = BodyBytes(limit: 150_000)
        let pool = NIOThreadPool(numberOfThreads: 1)
        pool.start()
        let channel = try Self.channel(AnsweringTrail(), bodies: [bytes], pool: pool)
        try channel.writeInbound(ByteBuffer(string: Self.call(body)))
        channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        #expect(!bytes.take(100_000), "the check holds it")
        // The thread's next piece of work comes after the check.
        try await pool.runIfActive {}
        channel.embeddedEventLoop.run()
        #expect(bytes.take(100_000))
        try await pool.shutdownGracefully()
    }

    @Test("a caller that leaves in the middle of its head gets an answer that says so, and is recorded")
    func left() throws {
        let trail = AnsweringTrail()
        let channel = try Self.channel(trail)
        try channel.writeInbound(ByteBuffer(string: "CONNECT a.exam"))
        channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        #expect(try Self.answer(channel).contains("incomplete_request"))
        #expect(trail.events.all.withLock { $0.count } == 1)
    }

    // MARK: - With a connection to a provider that was kept

    /// A kept connection to the provider, in memory.
    private struct Kept {
        let loop = EmbeddedEventLoop()
        let provider: EmbeddedChannel
        let pools: UpstreamPools
        let trail = AnsweringTrail(answer: .init(credential: "sk-real-1"))

        init() throws {
            self.provider = EmbeddedChannel(handlers: [], loop: self.loop)
            let handler = UpstreamHandler()
            try self.provider.pipeline.syncOperations.addHandler(handler)
            try self.provider.connect(to: SocketAddress(unixDomainSocketPath: "/none")).wait()
            self.pools = UpstreamPools([self.loop])
            let key = UpstreamPool.Key(
                workspace: try WorkspaceID("acme"), host: .name(try HostName(Array("m.example.test".utf8)[...])),
                port: 443)
            self.pools.pool(of: self.loop)?.put(
                key,
                UpstreamPool.Idle(
                    channel: self.provider, handler: handler, address: EgressAddress(version4Bits: 0xcb00_7106)))
        }

        func caller() throws -> EmbeddedChannel {
            try TunnelHandlerTests.channel(
                self.trail, resolver: OneAddress(), on: self.loop, upstreams: self.pools)
        }

        func answer(_ text: String) throws {
            try self.provider.writeInbound(ByteBuffer(string: text))
            self.loop.run()
        }

        var events: [JSONValue] { self.trail.events.all.withLock { $0 } }
    }

    private static let document = #"{"model":"m","usage":{"prompt_tokens":3,"completion_tokens":2}}"#
    private static let whole = "HTTP/1.1 200 OK\r\ncontent-length: \(document.utf8.count)\r\n\r\n\(document)"

    @Test("a call goes out on the kept connection, its answer comes back, and the connection is kept again")
    func kept() throws {
        let kept = try Kept()
        for round in 1...2 {
            let caller = try kept.caller()
            try caller.writeInbound(ByteBuffer(string: Self.call()))
            let sent = try Self.answer(kept.provider)
            #expect(
                sent.contains("authorization: Bearer sk-real-1\r\n") && !sent.contains("sk-proj"), "\(round): \(sent)")
            try kept.answer(String(Self.whole.prefix(30)))
            try kept.answer(String(Self.whole.dropFirst(30)))
            #expect(try Self.answer(caller).hasSuffix(Self.document))
            #expect(kept.events.last?["model"]?["usage"]?["output"] == .integer(2))
            #expect(kept.events.last?["address"] == "203.0.113.6", "the address that was really used")
        }
        #expect(kept.provider.isActive && kept.events.count == 4)
        kept.loop.advanceTime(by: .seconds(31))
        #expect(!kept.provider.isActive, "nobody called for half a minute")
    }

    @Test("bytes on a kept connection that nobody asked for close it")
    func unasked() throws {
        let kept = try Kept()
        try kept.answer("HTTP/1.1 408 Too slow\r\n\r\n")
        kept.loop.run()
        #expect(!kept.provider.isActive)
    }

    @Test("an answer that ends the connection is not kept, and one whose caller has left is cut")
    func notKept() throws {
        let closing = try Kept()
        let caller = try closing.caller()
        try caller.writeInbound(ByteBuffer(string: Self.call()))
        try closing.answer(Self.whole.replacing("OK\r\n", with: "OK\r\nconnection: close\r\n"))
        #expect(!closing.provider.isActive)
        let cut = try Kept()
        let leaving = try cut.caller()
        try leaving.writeInbound(ByteBuffer(string: Self.call()))
        try cut.answer(String(Self.whole.dropLast(5)))
        leaving.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        cut.loop.run()
        #expect(!cut.provider.isActive && cut.events.last?["model"]?["usage"]?["estimated"] == .bool(true))
    }

    @Test("a provider that says nothing ends the call after the idle time, and endless drips after the longest call")
    func deadlines() throws {
        let silent = try Kept()
        try silent.caller().writeInbound(ByteBuffer(string: Self.call()))
        silent.loop.advanceTime(by: .minutes(16))
        #expect(!silent.provider.isActive && silent.events.last?["reason"] == "answer_timeout")
        let dripping = try Kept()
        let caller = try dripping.caller()
        try caller.writeInbound(ByteBuffer(string: Self.call()))
        try dripping.answer("HTTP/1.1 200 OK\r\n\r\n")
        for _ in 0..<24 {
            try dripping.answer("x")
            dripping.loop.advanceTime(by: .minutes(1))
        }
        #expect(dripping.provider.isActive)
        dripping.loop.advanceTime(by: .minutes(2))
        #expect(!dripping.provider.isActive && dripping.events.last?["phase"] == "ended")
    }

    @Test("a limit of the provider keeps the caller waiting, and the call ends when it leaves")
    func waits() throws {
        let kept = try Kept()
        let caller = try kept.caller()
        try caller.writeInbound(ByteBuffer(string: Self.call()))
        try kept.answer("HTTP/1.1 429 Busy\r\nretry-after: 60\r\ncontent-length: 0\r\n\r\n")
        #expect(!kept.provider.isActive, "a connection is not held for a wait")
        kept.loop.advanceTime(by: .seconds(59))
        #expect(try Self.answer(caller).isEmpty && caller.isActive)
        caller.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        kept.loop.run()
        #expect(kept.events.last?["model"]?["waited_seconds"] == .integer(60))
        #expect(kept.events.last?["model"]?["usage"]?["input"] == .integer(0))
    }
}
