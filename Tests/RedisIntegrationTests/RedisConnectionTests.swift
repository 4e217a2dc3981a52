import Domain
import Foundation
import NIOPosix
import Redis
import TestSupport
import Testing

@Suite("The Redis connection", .enabled(if: isInstalled("redis-server"), "needs redis-server"))
struct RedisConnectionTests {
    @Test("a pipeline's replies come in order, error replies among them")
    func pipeline() async throws {
        try await withDirectory { directory in
            try await withRedis(in: directory) { redis in
                let connection = try await RedisConnection.connect(to: redis.configuration, group: .singleton)
                let replies = try await connection.pipeline(
                    [
                        RedisCommand("SET", "k", "1"), RedisCommand("INCR", "k"), RedisCommand("LPUSH", "k", "x"),
                        RedisCommand("GET", "k"),
                    ],
                    timeout: .seconds(5))
                #expect(replies[1].root.integer == 2)
                #expect(replies[2].error?.code == .server(kind: "WRONGTYPE"))
                #expect(replies[3].root.string == "2")
                await connection.close()
            }
        }
    }

    @Test("binary arguments and large values come back as they went")
    func binary() async throws {
        try await withDirectory { directory in
            try await withRedis(in: directory) { redis in
                let value = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
                var set = RedisCommand("SET", "k")
                set.append(value)
                _ = try await redis.send(set)
                #expect(Array(try await redis.send(RedisCommand("GET", "k")).bytes) == value)
            }
        }
    }

    @Test("a cancelled command throws at once and leaves the connection in order for others")
    func cancellation() async throws {
        try await withDirectory { directory in
            try await withRedis(in: directory) { redis in
                let connection = try await RedisConnection.connect(to: redis.configuration, group: .singleton)
                let blocked = Task {
                    try await connection.pipeline([RedisCommand("BLPOP", "nothing", "1")], timeout: .seconds(10))
                }
                // PING is answered after BLPOP, so its own cancellation must not disturb it either.
                let ping = Task { try await connection.pipeline([RedisCommand("PING")], timeout: .seconds(10)) }
                blocked.cancel()
                await #expect(throws: CancellationError.self) { try await blocked.value }
                #expect(try await ping.value.first?.root.string == "PONG")
                let after = try await connection.pipeline([RedisCommand("ECHO", "x")], timeout: .seconds(5))
                #expect(after.first?.root.string == "x")
                await connection.close()
            }
        }
    }

    @Test("a deadline that passes is a timeout, and the connection is given up")
    func deadline() async throws {
        try await withDirectory { directory in
            try await withRedis(in: directory) { redis in
                let connection = try await RedisConnection.connect(to: redis.configuration, group: .singleton)
                let error = await #expect(throws: RedisError.self) {
                    try await connection.pipeline([RedisCommand("BLPOP", "nothing", "5")], timeout: .milliseconds(50))
                }
                #expect(error?.code == .timeout)
                await connection.closed()
            }
        }
    }

    @Test("a client waits for Redis, survives its death, and goes on when it is back")
    func reconnect() async throws {
        try await withDirectory { directory in
            try await withRedis(in: directory) { redis in
                try await withClient(redis.configuration) { client in
                    _ = try await client.send(RedisCommand("SET", "k", "v"))
                    await redis.process.kill9()
                    let error = await #expect(throws: RedisError.self) {
                        try await client.send(RedisCommand("GET", "k"), timeout: .milliseconds(200))
                    }
                    #expect(error?.isOutage == true)
                    try await eventually("the client knows") { await client.state != .connected }
                    let waiting = Task { try await client.send(RedisCommand("PING"), timeout: .seconds(20)) }
                    try await redis.start()
                    #expect(try await waiting.value.string == "PONG")
                    #expect(await client.generation == 2)
                }
            }
        }
    }

    @Test("a wrong password is refused in one sentence that says what to check")
    func password() async throws {
        try await withDirectory { directory in
            try await withRedis(
                in: directory, options: ["--requirepass", "right"], configure: { $0.password = "right" }
            ) { redis in
                let pong = try await redis.send(RedisCommand("PING")).string
                #expect(pong == "PONG")
                var wrong = redis.configuration
                wrong.password = "wrong"
                let error = await #expect(throws: RedisError.self) {
                    try await RedisConnection.connect(to: wrong, group: .singleton)
                }
                #expect(error?.code == .refused)
                #expect(error?.message.contains("REDIS_PASSWORD") == true)
                #expect(error?.message.contains("wrong") == false)
            }
        }
    }

    @Test("nobody listening is unreachable, with the address named")
    func unreachable() async throws {
        let configuration = try RedisConfiguration(url: "unix:///tmp/orc-nobody-listens.sock")
        let error = await #expect(throws: RedisError.self) {
            try await RedisConnection.connect(to: configuration, group: .singleton)
        }
        #expect(error?.code == .unreachable)
        #expect(error?.message.contains("orc-nobody-listens") == true)
    }

    @Test("the server's facts name what is unfit")
    func facts() async throws {
        try await withDirectory { directory in
            try await withRedis(in: directory, options: ["--maxmemory-policy", "allkeys-lru"]) { redis in
                let connection = try await RedisConnection.connect(to: redis.configuration, group: .singleton)
                let facts = try await RedisServerFacts(of: connection, usesTLS: false)
                await connection.close()
                #expect(facts.problems.count == 1)
                #expect(facts.problems.first?.contains("noeviction") == true)
                #expect(facts.isAppendOnly)
            }
        }
    }
}
