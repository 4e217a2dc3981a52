import Domain
import NIOCore
import NIOEmbedded
import Testing
import TransportSecurity

@testable import Redis

@Suite("The Redis connection")
struct RedisConnectionTests {
    private static let ping = "*1\r\n$4\r\nPING\r\n"

    @Test("the commands of a pipeline are written at once, and the replies come in their order")
    func order() async throws {
        let bench = try await RedisBench()
        async let replies = bench.connection.pipeline(
            [RedisCommand("PING"), RedisCommand("PING")], timeout: .seconds(3))
        #expect(try await bench.written() == Self.ping + Self.ping)
        try await bench.answer("+first\r\n+sec")
        try await bench.answer("ond\r\n")
        #expect(try await replies.map(\.root.string) == ["first", "second"])
    }

    @Test("an error reply is one of the replies, not an error of the pipeline")
    func errorReply() async throws {
        let bench = try await RedisBench()
        async let replies = bench.connection.pipeline(
            [RedisCommand("PING"), RedisCommand("PING")], timeout: .seconds(3))
        _ = try await bench.written()
        try await bench.answer("-OOM no memory\r\n:1\r\n")
        let found = try await replies
        #expect(found[0].error?.code == .server(kind: "OOM"))
        #expect(found[1].root.integer == 1)
    }

    @Test("an empty pipeline writes nothing and has no replies")
    func empty() async throws {
        let bench = try await RedisBench()
        #expect(try await bench.connection.pipeline([], timeout: .seconds(3)).isEmpty)
        #expect(try await bench.channel.readOutbound(as: ByteBuffer.self) == nil)
    }

    @Test("a second pipeline is written before the first is answered, and gets its own replies")
    func pipelining() async throws {
        let bench = try await RedisBench()
        async let first = bench.connection.pipeline([RedisCommand("PING")], timeout: .seconds(3))
        _ = try await bench.written()
        async let second = bench.connection.pipeline([RedisCommand("PING")], timeout: .seconds(3))
        _ = try await bench.written()
        try await bench.answer("+a\r\n+b\r\n")
        #expect(try await first.first?.root.string == "a")
        #expect(try await second.first?.root.string == "b")
    }

    @Test("a cancelled pipeline throws at once, and its replies are not given to the next one")
    func cancellation() async throws {
        let bench = try await RedisBench()
        let first = Task { try await bench.connection.pipeline([RedisCommand("PING")], timeout: .seconds(3)) }
        _ = try await bench.written()
        first.cancel()
        await #expect(throws: CancellationError.self) { try await first.value }
        async let second = bench.connection.pipeline([RedisCommand("PING")], timeout: .seconds(3))
        _ = try await bench.written()
        try await bench.answer("+of the first\r\n+of the second\r\n")
        #expect(try await second.first?.root.string == "of the second")
    }

    @Test("a pipeline of a cancelled task writes nothing")
    func cancelledBefore() async throws {
        let bench = try await RedisBench()
        let task = Task {
            unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
            return try await bench.connection.pipeline([RedisCommand("PING")], timeout: .seconds(3))
        }
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(try await bench.channel.readOutbound(as: ByteBuffer.self) == nil)
    }

    @Test("a deadline that passes is a timeout of all that wait, and closes the connection")
    func timeout() async throws {
        let bench = try await RedisBench()
        let first = Task { try await bench.connection.pipeline([RedisCommand("PING")], timeout: .seconds(3)) }
        _ = try await bench.written()
        let second = Task { try await bench.connection.pipeline([RedisCommand("PING")], timeout: .seconds(60)) }
        _ = try await bench.written()
        await bench.loop.advanceTime(by: .seconds(4))
        #expect(await redisCode { try await first.value } == .timeout)
        #expect(await redisCode { try await second.value } == .timeout)
        await bench.connection.closed()
    }

    @Test("a large batch has the time that a slow link needs for its bytes")
    func slowLink() async throws {
        let bench = try await RedisBench()
        var command = RedisCommand("SET", "k")
        command.append([UInt8](repeating: 0, count: 240 * 1024))
        let set = command
        async let replies = bench.connection.pipeline([set], timeout: .seconds(3))
        _ = try await bench.written()
        await bench.loop.advanceTime(by: .seconds(8))
        try await bench.answer("+OK\r\n")
        #expect(try await replies.first?.root.string == "OK")
    }

    @Test("a reply that arrives slowly is progress: its bytes extend the deadline")
    func slowReply() async throws {
        let bench = try await RedisBench()
        async let replies = bench.connection.pipeline([RedisCommand("GET", "k")], timeout: .seconds(3))
        _ = try await bench.written()
        let half = String(repeating: "x", count: 48 * 1024)
        try await bench.answer("$\(2 * half.utf8.count)\r\n")
        for _ in 0..<2 {
            try await bench.answer(half)
            await bench.loop.advanceTime(by: .seconds(2))
        }
        try await bench.answer("\r\n")
        #expect(try await replies.first?.root.bytes.count == 2 * half.utf8.count)
    }

    @Test("when Redis closes the connection, what was written is of unknown effect and what comes later was not sent")
    func closedByRedis() async throws {
        let bench = try await RedisBench()
        let waiting = Task { try await bench.connection.pipeline([RedisCommand("PING")], timeout: .seconds(3)) }
        _ = try await bench.written()
        try await bench.channel.close()
        #expect(await redisCode { try await waiting.value } == .connectionLost)
        let late = await redisCode { try await bench.connection.pipeline([RedisCommand("PING")], timeout: .seconds(3)) }
        #expect(late == .unreachable)
    }

    @Test("a reply to no command closes the connection: the next one would get a wrong answer")
    func replyToNothing() async throws {
        let bench = try await RedisBench()
        try await bench.answer("+OK\r\n")
        await bench.connection.closed()
        let later = await redisCode {
            try await bench.connection.pipeline([RedisCommand("PING")], timeout: .seconds(3))
        }
        #expect(later == .unreachable)
    }

    @Test("malformed bytes fail what waits and close the connection")
    func malformed() async throws {
        let bench = try await RedisBench()
        let waiting = Task { try await bench.connection.pipeline([RedisCommand("PING")], timeout: .seconds(3)) }
        _ = try await bench.written()
        try await bench.answer("?what\r\n")
        #expect(await redisCode { try await waiting.value } == .unexpectedReply)
        await bench.connection.closed()
    }

    @Test("without TLS the connection is ready when it is open")
    func readyWithoutTLS() async throws {
        let bench = try await RedisBench()
        try await bench.ready.get()
    }

    @Test("with TLS the connection is ready after the handshake")
    func readyWithTLS() async throws {
        let bench = try await RedisBench(expectsTLS: true)
        try await bench.channel.testingEventLoop.executeInContext {
            bench.channel.pipeline.fireUserInboundEventTriggered(TLSHandshakeCompleted())
        }
        try await bench.ready.get()
    }

    @Test("a TLS error before the handshake is a refusal that keeps its cause")
    func refusedByTLS() async throws {
        let bench = try await RedisBench(expectsTLS: true)
        let cause = TLSError(code: .untrustedPeer, message: "the certificate was refused")
        try await bench.channel.testingEventLoop.executeInContext { bench.channel.pipeline.fireErrorCaught(cause) }
        let error = await #expect(throws: RedisError.self) { try await bench.ready.get() }
        #expect(error?.code == .refused)
        #expect((error?.underlying as? TLSError) == cause)
        #expect(error?.description.contains("the certificate was refused") == true)
    }

    @Test("any other error of the channel is a lost connection")
    func lostByError() async throws {
        let bench = try await RedisBench()
        let waiting = Task { try await bench.connection.pipeline([RedisCommand("PING")], timeout: .seconds(3)) }
        _ = try await bench.written()
        try await bench.channel.testingEventLoop.executeInContext {
            bench.channel.pipeline.fireErrorCaught(ChannelError.inputClosed)
        }
        #expect(await redisCode { try await waiting.value } == .connectionLost)
    }
}
