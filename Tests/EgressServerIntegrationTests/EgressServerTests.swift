import CLinux
import Domain
import Egress
import Glibc
import Logging
import NIOCore
import NIOPosix
import ShimProtocol
import Synchronization
import TestSupport
import Testing

@testable import EgressServer

/// A resolver with fixed answers that counts its questions.
final class CountingResolver: EgressResolver {
    private let questions = Mutex(0)
    var count: Int { self.questions.withLock { $0 } }

    func addresses(of name: HostName, on loop: any EventLoop) -> EventLoopFuture<EgressResolution> {
        self.questions.withLock { $0 += 1 }
        let answer = name.text == "local.example.test" ? "127.0.0.1" : "203.0.113.9"
        return loop.makeSucceededFuture(.addresses([answer].compactMap { EgressAddress($0) }))
    }
}

/// An audit trail in memory.
final class MemoryTrail: EgressRecorder {
    /// What it does with an event.
    enum Mode { case takes, refuses, holds }

    struct Full: Error {}
    private let events = Mutex<[JSONValue]>([])
    private let held = Mutex<[EventLoopPromise<EgressAcknowledgement>]>([])
    private let mode: Mode

    init(_ mode: Mode = .takes) { self.mode = mode }

    var all: [JSONValue] { self.events.withLock { $0 } }

    func record(_ event: JSONValue, on loop: any EventLoop) -> EventLoopFuture<EgressAcknowledgement> {
        switch self.mode {
        case .refuses: return loop.makeFailedFuture(Full())
        case .takes:
            self.events.withLock { $0.append(event) }
            return loop.makeSucceededFuture(EgressAcknowledgement())
        case .holds:
            let promise = loop.makePromise(of: EgressAcknowledgement.self)
            self.held.withLock { $0.append(promise) }
            self.events.withLock { $0.append(event) }
            return promise.futureResult
        }
    }

    /// Fails what it holds.
    func refuseHeld() {
        let held = self.held.withLock { held in
            defer { held = [] }
            return held
        }
        for promise in held { promise.fail(Full()) }
    }
}

/// A server for one launch, and an echo server behind the name `echo.example.test`.
struct ServerBench {
    let port: UInt16
    let resolver: CountingResolver
    let trail: MemoryTrail
    /// The shim's end of its connection.
    let shim: Int32
    let echo: EchoCount

    static func with(
        _ mode: MemoryTrail.Mode = .takes, limits: EgressServerLimits = EgressServerLimits(),
        _ body: (ServerBench) async throws -> Void
    ) async throws {
        let group = MultiThreadedEventLoopGroup.singleton
        let echoed = EchoCount()
        let echo = try await ServerBootstrap(group: group)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(EchoHandler(echoed))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let upstream = EgressServerConfiguration.Upstream(
            address: try #require(EgressAddress("127.0.0.1")), port: UInt16(try #require(echo.localAddress?.port)))
        let names = ["echo.example.test", "plain.example.test", "raw.example.test"]
        let overrides = try Dictionary(
            uniqueKeysWithValues: names.map { (try HostName(Array($0.utf8)[...]), upstream) })
        let profile = try DefinitionName("web")
        let resolver = CountingResolver()
        let trail = MemoryTrail(mode)
        let server = try EgressServer(
            configuration: EgressServerConfiguration(
                socket: "/none", generation: 7,
                entries: [
                    profile: [
                        ["id": "echo", "host": "echo.example.test"], ["id": "local", "host": "local.example.test"],
                        ["id": "raw", "host": "raw.example.test", "protocol": "tcp"],
                        ["id": "plain", "host": "plain.example.test", "door": "http", "methods": ["GET"]],
                    ]
                ], overrides: overrides), own: [], ports: [3128], limits: limits, group: group, resolver: resolver,
            recorder: trail, wall: { 1 }, logger: Logger(label: "test"))
        let listener = orc_listen_loopback(0, 0)
        try #require(listener >= 0)
        let port = UInt16(orc_local_port(listener))
        var ends: [Int32] = [0, 0]
        try #require(unsafe orc_socket_pair(&ends) == 0)
        server.serve(
            EgressHello(
                workspace: try WorkspaceID("acme"), job: JobID(milliseconds: 1, randomHigh: 2, randomLow: 3), launch: 4,
                profile: profile), listener: listener, until: ends[0])
        try await body(ServerBench(port: port, resolver: resolver, trail: trail, shim: ends[1], echo: echoed))
        close(ends[1])
        try await echo.close()
    }

    /// Sends bytes and reads until the other side ends or `until` bytes have come. With `last` sends that after the first
    /// answer and ends the input.
    func exchange(_ bytes: [UInt8], until count: Int = .max, last: [UInt8]? = nil) async throws -> [UInt8] {
        let port = self.port
        return try await NIOThreadPool.singleton.runIfActive {
            let fd = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            defer { close(fd) }
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = port.bigEndian
            address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
            let result = unsafe withUnsafePointer(to: &address) { pointer in
                unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    unsafe connect(fd, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            guard result == 0 else { throw TestFailure("no connection: errno \(errno)") }
            _ = unsafe send(fd, bytes, bytes.count, Int32(MSG_NOSIGNAL))
            var last = last
            var answer: [UInt8] = []
            var buffer = [UInt8](repeating: 0, count: 4096)
            while answer.count < count {
                var entry = pollfd(fd: fd, events: Int16(POLLIN), revents: 0)
                guard unsafe poll(&entry, 1, 10_000) > 0 else { throw TestFailure("no answer") }
                let received = unsafe recv(fd, &buffer, buffer.count, 0)
                guard received > 0 else { break }
                answer += buffer.prefix(received)
                if let rest = last {
                    last = nil
                    _ = unsafe send(fd, rest, rest.count, Int32(MSG_NOSIGNAL))
                    shutdown(fd, Int32(SHUT_WR))
                }
            }
            return answer
        }
    }

    func text(_ request: String, until count: Int = .max) async throws -> String {
        String(decoding: try await self.exchange(Array(request.utf8), until: count), as: UTF8.self)
    }
}

/// Bytes that the echo server received.
final class EchoCount: Sendable {
    private let bytes = Mutex(0)
    var count: Int { self.bytes.withLock { $0 } }
    func add(_ count: Int) { self.bytes.withLock { $0 += count } }
}

/// Sends back what it receives.
final class EchoHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let count: EchoCount

    init(_ count: EchoCount) { self.count = count }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        self.count.add(self.unwrapInboundIn(data).readableBytes)
        context.writeAndFlush(data, promise: nil)
    }
}

/// One after the other: each blocks threads of the shared pool.
@Suite("EgressServer", .serialized, .timeLimit(.minutes(5)))
struct EgressServerTests {
    private static let established = "HTTP/1.1 200 Connection established\r\n\r\n"

    private static func connect(_ host: String) -> String {
        "CONNECT \(host):443 HTTP/1.1\r\nHost: \(host):443\r\n\r\n"
    }

    /// A small ClientHello with this server name.
    private static func hello(_ name: String) -> [UInt8] {
        func sized(_ bytes: [UInt8], _ width: Int) -> [UInt8] {
            (0..<width).reversed().map { UInt8(truncatingIfNeeded: bytes.count >> ($0 * 8)) } + bytes
        }
        let names = sized([0] + sized(Array(name.utf8), 2), 2)
        let body: [UInt8] =
            [3, 3] + [UInt8](repeating: 7, count: 32) + [0] + sized([0x13, 0x01], 2) + sized([0], 1)
            + sized([0, 0] + sized(names, 2), 2)
        return [22, 3, 1] + sized([1] + sized(body, 3), 2)
    }

    @Test("an allowed tunnel with the right server name relays bytes, and its decision and end are recorded")
    func allowedTunnel() async throws {
        try await ServerBench.with { bench in
            let hello = Self.hello("echo.example.test")
            let more = Array("more".utf8)
            let expected = Array(Self.established.utf8) + hello + more
            let answer = try await bench.exchange(
                Array(Self.connect("echo.example.test").utf8) + hello + more, until: expected.count)
            #expect(answer == expected)
            try await eventually("the end is recorded") { bench.trail.all.count == 2 }
            let events = bench.trail.all
            #expect(events[0]["decision"] == "allow" && events[0]["rule"] == "echo" && events[0]["launch"] == 4)
            #expect(events[1]["phase"] == "ended" && events[1]["bytes_in"]?.integer == Int64(hello.count + more.count))
        }
    }

    @Test("a host that is not listed is refused with a body for a model, without a question to the resolver")
    func refused() async throws {
        try await ServerBench.with { bench in
            let answer = try await bench.text(Self.connect("other.example.test"))
            #expect(answer.hasPrefix("HTTP/1.1 403 ") && answer.contains(#""code":"host_not_allowed""#), "\(answer)")
            #expect(bench.resolver.count == 0)
            #expect(bench.trail.all.count == 1 && bench.trail.all[0]["reason"] == "host_not_allowed")
        }
    }

    @Test("a listed name that resolves to loopback is refused")
    func loopback() async throws {
        try await ServerBench.with { bench in
            let answer = try await bench.text(Self.connect("local.example.test"))
            #expect(answer.contains("x-orchestra-reason: address_not_allowed"), "\(answer)")
            #expect(bench.resolver.count == 1)
        }
    }

    @Test("another server name in the ClientHello is refused, with an answer where it came with the request")
    func serverName() async throws {
        try await ServerBench.with { bench in
            let answer = try await bench.exchange(
                Array(Self.connect("echo.example.test").utf8) + Self.hello("evil.example.test"))
            #expect(String(decoding: answer, as: UTF8.self).hasPrefix("HTTP/1.1 421 "))
            #expect(bench.trail.all.map { $0["reason"] } == ["sni_mismatch"])
        }
    }

    @Test("a plain request goes on in origin form, and a method that is not listed is refused")
    func plain() async throws {
        try await ServerBench.with { bench in
            let request = "GET http://plain.example.test/a HTTP/1.1\r\nHost: plain.example.test\r\n\r\n"
            let answer = try await bench.text(request, until: 10)
            #expect(answer.hasPrefix("GET /a HTTP/1.1\r\n"), "\(answer)")
            let refused = try await bench.text(
                "DELETE http://plain.example.test/a HTTP/1.1\r\nHost: plain.example.test\r\n\r\n")
            #expect(refused.hasPrefix("HTTP/1.1 405 "))
        }
    }

    @Test("what the audit trail does not take is not forwarded")
    func auditUnavailable() async throws {
        try await ServerBench.with(.refuses) { bench in
            let answer = try await bench.text(
                "GET http://plain.example.test/a HTTP/1.1\r\nHost: plain.example.test\r\n\r\n")
            #expect(answer.hasPrefix("HTTP/1.1 503 ") && answer.contains("audit_unavailable"), "\(answer)")
            #expect(bench.echo.count == 0)
        }
    }

    @Test(
        "while a decision waits for the audit trail no byte goes on, also when the caller ends its input",
        arguments: 0..<10)
    func heldAudit(round: Int) async throws {
        try await ServerBench.with(.holds) { bench in
            async let answer = bench.exchange(
                Array(Self.connect("raw.example.test").utf8), last: [UInt8](repeating: 7, count: 1000))
            try await eventually("the decision waits") { bench.trail.all.count == 1 }
            // Another connection is answered, so the server has had its turn with the first.
            async let other = bench.exchange(Array(Self.connect("other.example.test").utf8))
            try await eventually("the second decision waits") { bench.trail.all.count == 2 }
            bench.trail.refuseHeld()
            _ = try await (answer, other)
            #expect(bench.echo.count == 0)
        }
    }

    @Test("a flood of refusals is few rows with their count, and the launch's end writes the rest")
    func refusalFlood() async throws {
        var limits = EgressServerLimits()
        limits.refusalBurst = 2
        try await ServerBench.with(limits: limits) { bench in
            for _ in 0..<20 {
                let answer = try await bench.text(Self.connect("other.example.test"))
                #expect(answer.hasPrefix("HTTP/1.1 403 "))
            }
            _ = shutdown(bench.shim, Int32(SHUT_RDWR))
            func rows() -> Int64 { bench.trail.all.reduce(0) { $0 + ($1["count"]?.integer ?? 1) } }
            try await eventually("all are counted") { rows() == 20 }
            #expect(bench.trail.all.count < 10)
        }
    }

    @Test("new connections of a launch have a rate")
    func connectionRate() async throws {
        var limits = EgressServerLimits()
        (limits.connectionBurst, limits.connectionsPerSecond) = (1, 0)
        try await ServerBench.with(limits: limits) { bench in
            let first = try await bench.text(Self.connect("other.example.test"))
            let second = try await bench.text(Self.connect("other.example.test"))
            #expect(first.hasPrefix("HTTP/1.1 403 ") && second.hasPrefix("HTTP/1.1 503 "), "\(first)\(second)")
        }
    }

    @Test("connections past the limit of a launch are answered with 503")
    func tooMany() async throws {
        var limits = EgressServerLimits()
        limits.connections = 0
        try await ServerBench.with(limits: limits) { bench in
            let answer = try await bench.text(Self.connect("echo.example.test"))
            #expect(answer.contains("too_many_tunnels"), "\(answer)")
        }
    }

    @Test("a head that does not come in time is answered with 408")
    func slowHead() async throws {
        var limits = EgressServerLimits()
        limits.head = .milliseconds(50)
        try await ServerBench.with(limits: limits) { bench in
            let answer = try await bench.text("CONNECT ")
            #expect(answer.hasPrefix("HTTP/1.1 408 "), "\(answer)")
        }
    }

    @Test("the end of the shim's connection ends its tunnels")
    func shimGone() async throws {
        try await ServerBench.with { bench in
            async let answer = bench.exchange(Array(Self.connect("raw.example.test").utf8))
            try await eventually("the tunnel is open") { bench.trail.all.count == 1 }
            _ = shutdown(bench.shim, Int32(SHUT_RDWR))
            // The tunnel ends although neither side ended it.
            let received = try await answer
            #expect(received == Array(Self.established.utf8))
        }
    }
}
