package import CoreMetrics
internal import Domain
package import Logging
internal import NIOCore
package import NIOPosix

/// A connection that comes back: `run()` keeps one open, with jittered backoff between attempts, and
/// callers wait for it until their deadline. An outage is a state of the client, never its end.
package actor RedisClient {
    /// What the client knows of Redis now.
    package enum State: Sendable, Equatable {
        case connecting(lastError: String?)
        case connected
        case stopped
    }

    package nonisolated let configuration: RedisConfiguration
    private let group: MultiThreadedEventLoopGroup
    private let logger: Logger
    private let up: Gauge
    private let reconnects: Counter
    private let clock: any Clock<Duration>
    private let jitter: @Sendable (ClosedRange<Double>) -> Double

    private var connection: RedisConnection?
    private var waiters: [UInt64: CheckedContinuation<RedisConnection, any Error>] = [:]
    private var nextWaiter: UInt64 = 0
    private(set) package var state = State.connecting(lastError: nil)
    /// How often a connection was made; rises by one with every reconnect.
    private(set) package var generation = 0

    /// How many connections in a row broke soon after they were made.
    private var shortLives = 0

    private static let steadyTime = TimeAmount.seconds(5)
    package static let firstBackoff = Duration.milliseconds(50)
    package static let longestBackoff = Duration.seconds(1)

    package init(
        configuration: RedisConfiguration, group: MultiThreadedEventLoopGroup, logger: Logger,
        metrics: any MetricsFactory = NOOPMetricsHandler.instance, clock: any Clock<Duration> = ContinuousClock(),
        jitter: @escaping @Sendable (ClosedRange<Double>) -> Double = { Double.random(in: $0) }
    ) {
        self.configuration = configuration
        self.group = group
        self.logger = logger
        self.up = Gauge(
            label: "orchestra_redis_up", dimensions: [("connection", configuration.clientName)], factory: metrics)
        self.reconnects = Counter(
            label: "orchestra_redis_reconnects_total", dimensions: [("connection", configuration.clientName)],
            factory: metrics)
        self.clock = clock
        self.jitter = jitter
        self.up.record(0)
    }

    /// Keeps a connection open until the task is cancelled; then closes it and fails who waits. It may run again.
    package func run() async {
        if self.state == .stopped { self.state = .connecting(lastError: nil) }
        var backoff = Self.firstBackoff
        while !Task.isCancelled {
            do {
                let connection = try await RedisConnection.connect(to: self.configuration, group: self.group)
                let since = NIODeadline.now()
                self.becomeConnected(connection)
                await withTaskCancellationHandler {
                    await connection.closed()
                } onCancel: {
                    Task { await connection.close() }  // not awaited: `closed()` above is what waits for it
                }
                if Task.isCancelled { break }
                // One that breaks as soon as it stands is no better than none.
                let isShort = NIODeadline.now() - since < Self.steadyTime
                self.shortLives = isShort ? self.shortLives + 1 : 0
                if !isShort { backoff = Self.firstBackoff }
                self.becomeDisconnected(reason: "the connection ended")
            } catch {
                if Task.isCancelled { break }
                self.becomeDisconnected(reason: "\(error)")
            }
            guard !Task.isCancelled else { break }
            let pause = backoff * self.jitter(0.5...1.0)
            do { try await self.clock.sleep(for: pause) } catch { break }
            backoff = min(backoff * 2, Self.longestBackoff)
        }
        self.stop()
    }

    /// Writes the commands in one go; waits for a connection first. Error replies are among the replies.
    /// Throws `RedisError.unreachable` when none came within `timeout`, else as `RedisConnection.pipeline`.
    package func pipeline(_ commands: [RedisCommand], timeout: Duration? = nil) async throws -> [RESPReply] {
        let timeout = timeout ?? self.configuration.commandTimeout
        let connection = try await self.connected(within: timeout)
        let replies = try await connection.pipeline(commands, timeout: timeout)
        // After a fail-over the old connection may lead to a replica, and the slot to another node.
        if replies.contains(where: { $0.error?.isMisdirected == true }) { await connection.close() }
        return replies
    }

    /// Sends one command and returns its reply; an error reply is thrown.
    package func send(_ command: RedisCommand, timeout: Duration? = nil) async throws -> RESPValue {
        let replies = try await self.pipeline([command], timeout: timeout)
        guard let reply = replies.first else {
            throw RedisError(code: .unexpectedReply, message: "Redis sent no reply")
        }
        return try reply.checked()
    }

    private func connected(within timeout: Duration) async throws -> RedisConnection {
        if let connection = self.connection { return connection }
        if self.state == .stopped { throw self.unreachable() }
        let id = self.nextWaiter
        self.nextWaiter += 1
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                self.waiters[id] = continuation
                if Task.isCancelled { self.giveUp(id, CancellationError()) }
                let loop = self.group.next()
                loop.scheduleTask(in: TimeAmount(timeout)) {
                    Task { await self.waitedTooLong(id) }  // resumes the waiter, which is what is awaited
                }
            }
        } onCancel: {
            Task { await self.giveUp(id, CancellationError()) }  // resumes the waiter, which is what is awaited
        }
    }

    private func waitedTooLong(_ id: UInt64) {
        self.waiters.removeValue(forKey: id)?.resume(throwing: self.unreachable())
    }

    private func giveUp(_ id: UInt64, _ error: any Error) {
        self.waiters.removeValue(forKey: id)?.resume(throwing: error)
    }

    private func unreachable() -> RedisError {
        guard case .connecting(let reason?) = self.state else {
            return RedisError(
                code: .unreachable, message: "Redis at \(self.configuration.displayName) is not connected")
        }
        return RedisError(code: .unreachable, message: reason)
    }

    private func becomeConnected(_ connection: RedisConnection) {
        self.connection = connection
        self.state = .connected
        self.generation += 1
        self.up.record(1)
        if self.generation > 1 { self.reconnects.increment() }
        if self.generation > 1, self.isSaid {
            self.logger.notice("Redis is back", metadata: ["redis.endpoint": "\(self.configuration.displayName)"])
        }
        let waiters = self.waiters
        self.waiters = [:]
        for (_, waiter) in waiters { waiter.resume(returning: connection) }
    }

    private func becomeDisconnected(reason: String) {
        // Said once an outage, not once an attempt: an outage of hours must not fill a disk.
        let isNews = (self.connection != nil || self.state == .connecting(lastError: nil)) && self.isSaid
        self.connection = nil
        self.state = .connecting(lastError: reason)
        self.up.record(0)
        guard isNews else { return }
        self.logger.warning(
            "Redis is away; work goes on when it is back",
            metadata: ["redis.endpoint": "\(self.configuration.displayName)", "reason": "\(reason)"])
    }

    /// Of connections that break again and again the first ones are told, then every second, fourth, eighth…
    private var isSaid: Bool { self.shortLives & (self.shortLives - 1) == 0 }

    private func stop() {
        self.connection = nil
        self.state = .stopped
        self.up.record(0)
        let waiters = self.waiters
        self.waiters = [:]
        for (_, waiter) in waiters { waiter.resume(throwing: self.unreachable()) }
    }
}
