import Domain
import Logging
import NIOEmbedded
import NIOPosix
import TestSupport
import Testing

@testable import Redis

/// A client whose connections the test makes.
private struct ClientBench: Sendable {
    let client: RedisClient
    let clock = VirtualClock()
    private let attempts: AsyncStream<Attempt>.Continuation

    enum Attempt: Sendable {
        case connected(RedisConnection)
        case failed(RedisError)
    }

    static let away = RedisError(code: .unreachable, message: "Redis cannot be reached")

    init() throws {
        let (stream, continuation) = AsyncStream<Attempt>.makeStream()
        self.attempts = continuation
        self.client = RedisClient(
            configuration: try RedisConfiguration(url: "redis://redis.test"), group: .singleton,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, clock: self.clock,
            jitter: { $0.upperBound },
            connect: {
                for await attempt in stream {
                    switch attempt {
                    case .connected(let connection): return connection
                    case .failed(let error): throw error
                    }
                }
                throw CancellationError()
            })
    }

    /// Lets the next attempt to connect end like this.
    func attempt(_ attempt: Attempt) { self.attempts.yield(attempt) }

    /// Runs the client for the time of `body`.
    func running<Result: Sendable>(_ body: @escaping @Sendable () async throws -> Result) async throws -> Result {
        try await withThrowingTaskGroup(of: Result?.self) { group in
            group.addTask {
                await self.client.run()
                return nil
            }
            group.addTask { try await body() }
            defer { group.cancelAll() }
            while let result = try await group.next() { if let result { return result } }
            throw TestFailure("the client ended")
        }
    }
}

@Suite("The Redis client")
struct RedisClientTests {
    @Test("a command waits for the connection and is sent on it")
    func waits() async throws {
        let bench = try ClientBench()
        let redis = try await RedisBench()
        try await bench.running {
            async let value = bench.client.send(RedisCommand("PING"), timeout: .seconds(60))
            bench.attempt(.connected(redis.connection))
            _ = try await redis.written()
            try await redis.answer("+PONG\r\n")
            #expect(try await value.string == "PONG")
        }
    }

    @Test("a command that is sent while the connection is made does not miss it")
    func sentMeanwhile() async throws {
        for _ in 0..<1000 {
            let bench = try ClientBench()
            let redis = try await RedisBench()
            try await bench.running {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { bench.attempt(.connected(redis.connection)) }
                    group.addTask {
                        do {
                            let value = try await bench.client.send(RedisCommand("PING"), timeout: .seconds(60))
                            #expect(value.string == "PONG")
                        } catch {
                            await redis.connection.close()
                            throw error
                        }
                    }
                    _ = try await redis.written()
                    try await redis.answer("+PONG\r\n")
                    try await group.waitForAll()
                }
            }
        }
    }

    @Test(
        "a command whose time is over before there is a connection is unreachable, with the reason of the last attempt")
    func unreachable() async throws {
        let bench = try ClientBench()
        try await bench.running {
            bench.attempt(.failed(ClientBench.away))
            await bench.clock.waitForSleeper()
            let error = await #expect(throws: RedisError.self) {
                try await bench.client.send(RedisCommand("PING"), timeout: .zero)
            }
            #expect(error?.code == .unreachable)
            #expect(error?.message == "Redis cannot be reached")
        }
    }

    @Test("a deadline that is over at once is never missed")
    func noTime() async throws {
        let bench = try ClientBench()
        try await bench.running {
            for _ in 0..<2000 {
                let code = await redisCode { try await bench.client.send(RedisCommand("PING"), timeout: .zero) }
                #expect(code == .unreachable)
            }
        }
    }

    @Test("a cancelled command stops waiting for the connection")
    func cancelled() async throws {
        let bench = try ClientBench()
        try await bench.running {
            let waiting = Task { try await bench.client.send(RedisCommand("PING"), timeout: .seconds(60)) }
            waiting.cancel()
            await #expect(throws: CancellationError.self) { try await waiting.value }
        }
    }

    @Test("after a failed attempt the client pauses, and then tries again")
    func pauses() async throws {
        let bench = try ClientBench()
        let redis = try await RedisBench()
        try await bench.running {
            bench.attempt(.failed(ClientBench.away))
            await bench.clock.waitForSleeper()
            #expect(await bench.client.state == .connecting(lastError: "Redis cannot be reached"))
            bench.attempt(.connected(redis.connection))
            bench.clock.advance(by: ReconnectBackoff.longest * 2)
            async let value = bench.client.send(RedisCommand("PING"), timeout: .seconds(60))
            _ = try await redis.written()
            try await redis.answer("+PONG\r\n")
            #expect(try await value.string == "PONG")
            #expect(await bench.client.state == .connected)
        }
    }

    @Test("each new connection is a new generation")
    func generations() async throws {
        let bench = try ClientBench()
        let (first, second) = (try await RedisBench(), try await RedisBench())
        try await bench.running {
            bench.attempt(.connected(first.connection))
            async let value = bench.client.send(RedisCommand("PING"), timeout: .seconds(60))
            _ = try await first.written()
            try await first.answer("+PONG\r\n")
            _ = try await value
            #expect(await bench.client.generation == 1)
            await first.connection.close()
            await bench.clock.waitForSleeper()
            bench.attempt(.connected(second.connection))
            bench.clock.advance(by: .seconds(5))
            async let again = bench.client.send(RedisCommand("PING"), timeout: .seconds(60))
            _ = try await second.written()
            try await second.answer("+PONG\r\n")
            _ = try await again
            #expect(await bench.client.generation == 2)
        }
    }

    @Test("a reply that names another master closes the connection", arguments: ["READONLY x", "MOVED 1 h:1"])
    func misdirected(text: String) async throws {
        let bench = try ClientBench()
        let redis = try await RedisBench()
        try await bench.running {
            bench.attempt(.connected(redis.connection))
            let waiting = Task { try await bench.client.send(RedisCommand("SET", "k", "v"), timeout: .seconds(60)) }
            _ = try await redis.written()
            try await redis.answer("-\(text)\r\n")
            let error = await #expect(throws: RedisError.self) { try await waiting.value }
            #expect(error?.isOutage == true)
            await redis.connection.closed()
        }
    }

    @Test("any other error reply leaves the connection open")
    func errorReply() async throws {
        let bench = try ClientBench()
        let redis = try await RedisBench()
        try await bench.running {
            bench.attempt(.connected(redis.connection))
            let waiting = Task { try await bench.client.send(RedisCommand("SET", "k", "v"), timeout: .seconds(60)) }
            _ = try await redis.written()
            try await redis.answer("-WRONGTYPE x\r\n")
            await #expect(throws: RedisError.self) { try await waiting.value }
            #expect(redis.channel.isActive)
        }
    }

    @Test("a client that stops closes its connection and fails later commands")
    func stops() async throws {
        let bench = try ClientBench()
        let redis = try await RedisBench()
        try await bench.running {
            bench.attempt(.connected(redis.connection))
            async let value = bench.client.send(RedisCommand("PING"), timeout: .seconds(60))
            _ = try await redis.written()
            try await redis.answer("+PONG\r\n")
            _ = try await value
        }
        #expect(await bench.client.state == .stopped)
        #expect(!redis.channel.isActive)
        let late = await redisCode { try await bench.client.send(RedisCommand("PING"), timeout: .seconds(60)) }
        #expect(late == .unreachable)
    }
}
