import Foundation
internal import Logging
internal import NIOPosix
package import Redis

/// A real redis-server of the test's own, on a Unix socket in the test's directory.
package struct TestRedis: Sendable {
    package let directory: String
    package let process: ManagedProcess
    package let configuration: RedisConfiguration

    package var url: String { "unix://\(self.directory)/redis.sock" }

    /// Starts it again after it was killed, with the data that it left, and waits until it answers.
    package func start() async throws {
        try await self.process.start()
        try await eventually(within: .seconds(60), "redis answers") {
            guard let connection = try? await RedisConnection.connect(to: self.configuration, group: .singleton) else {
                return false
            }
            let reply = try? await connection.pipeline([RedisCommand("PING")], timeout: .seconds(10))
            await connection.close()
            return reply?.first?.root.string == "PONG"
        }
    }

    /// Sends one command on a connection of its own.
    package func send(_ command: RedisCommand) async throws -> RESPValue {
        let connection = try await RedisConnection.connect(to: self.configuration, group: .singleton)
        do {
            let replies = try await connection.pipeline([command], timeout: .seconds(5))
            await connection.close()
            guard let reply = replies.first else { throw TestFailure("no reply") }
            return try reply.checked()
        } catch {
            await connection.close()
            throw error
        }
    }
}

/// Runs the body with a redis-server that keeps an append-only file; extra options may add to that.
package func withRedis<Result>(
    in directory: String, options: [String] = [], configure: (inout RedisConfiguration) -> Void = { _ in },
    _ body: (TestRedis) async throws -> Result
) async throws -> Result {
    var configuration = RedisConfiguration(
        endpoint: .unix(path: directory + "/redis.sock"), connectTimeout: .seconds(10), commandTimeout: .seconds(20))
    configure(&configuration)
    let process = ManagedProcess(
        "/usr/bin/redis-server",
        [
            "--port", "0", "--unixsocket", directory + "/redis.sock", "--dir", directory, "--save", "", "--appendonly",
            "yes",
            "--appendfsync", "everysec", "--loglevel", "warning",
        ] + options, log: directory + "/redis.out")
    let redis = TestRedis(directory: directory, process: process, configuration: configuration)
    do {
        try await redis.start()
        let result = try await body(redis)
        await process.kill9()
        return result
    } catch {
        await process.kill9()
        throw error
    }
}

/// Runs the body with a client that reconnects by itself.
package func withClient<Result: Sendable>(
    _ configuration: RedisConfiguration, _ body: @escaping @Sendable (RedisClient) async throws -> Result
) async throws -> Result {
    let client = RedisClient(
        configuration: configuration, group: .singleton, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    )
    return try await withThrowingTaskGroup(of: Result?.self) { group in
        group.addTask {
            await client.run()
            return nil
        }
        group.addTask { try await body(client) }
        defer { group.cancelAll() }
        while let result = try await group.next() {
            if let result { return result }
        }
        throw TestFailure("the client ended")
    }
}
