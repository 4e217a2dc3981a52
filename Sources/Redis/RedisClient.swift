package import CoreMetrics
internal import Domain
package import Logging
internal import NIOCore
package import NIOPosix

/// A connection that is made again whenever it ends: `run()` keeps one open, with jittered backoff between attempts, and
/// callers wait for it until their deadline. An outage is a state of the client, never its end.
package actor RedisClient {
    /// The state of the client's connection.
    package enum State: Sendable, Equatable {
        /// There is no connection; `lastError` says why the last one ended or could not be made.
        case connecting(lastError: String?)
        case connected
        /// `run()` has returned.
        case stopped
    }

    /// Makes a connection; throws `RedisError` and leaves nothing open then.
    typealias Connect = @Sendable () async throws -> RedisConnection

    package nonisolated let configuration: RedisConfiguration
    private let group: MultiThreadedEventLoopGroup
    private let logger: Logger
    private let up: Gauge
    private let reconnects: Counter
    private let clock: any Clock<Duration>
    private let jitter: @Sendable (ClosedRange<Double>) -> Double
    private let connect: Connect

    private let waiters: ConnectionWaiters
    private var backoff = ReconnectBackoff()
    private(set) package var state = State.connecting(lastError: nil)
    /// How often a connection was made; rises by one with every reconnect.
    private(set) package var generation = 0

    /// Takes the parts as given; connects to nothing before `run()`. `jitter` returns a random number of the range.
    package init(
        configuration: RedisConfiguration, group: MultiThreadedEventLoopGroup, logger: Logger,
        metrics: any MetricsFactory = NOOPMetricsHandler.instance, clock: any Clock<Duration> = ContinuousClock(),
        jitter: @escaping @Sendable (ClosedRange<Double>) -> Double = { Double.random(in: $0) }
    ) {
        self.init(
            configuration: configuration, group: group, logger: logger, metrics: metrics, clock: clock, jitter: jitter,
            connect: { try await RedisConnection.connect(to: configuration, group: group) })
    }

    init(
        configuration: RedisConfiguration, group: MultiThreadedEventLoopGroup, logger: Logger,
        metrics: any MetricsFactory = NOOPMetricsHandler.instance, clock: any Clock<Duration>,
        jitter: @escaping @Sendable (ClosedRange<Double>) -> Double, connect: @escaping Connect
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
        self.connect = connect
        self.waiters = ConnectionWaiters(reason: Self.unconnected(configuration))
        self.up.record(0)
    }

    /// Keeps a connection open until the task is cancelled; then closes it and fails all callers that wait. It may run
    /// again.
    package func run() async {
        if self.state == .stopped {
            self.state = .connecting(lastError: nil)
            self.waiters.disconnect(Self.unconnected(self.configuration))
        }
        self.backoff = ReconnectBackoff()
        while !Task.isCancelled {
            do {
                let connection = try await self.connect()
                let since = NIODeadline.now()
                self.becomeConnected(connection)
                await withTaskCancellationHandler {
                    await connection.closed()
                } onCancel: {
                    connection.beginClose()
                }
                if Task.isCancelled { break }
                self.backoff.connectionEnded(after: Duration(NIODeadline.now() - since))
                self.becomeDisconnected(reason: "the connection ended")
            } catch {
                if Task.isCancelled { break }
                self.becomeDisconnected(reason: "\(error)")
            }
            let pause = self.backoff.next(factor: self.jitter(ReconnectBackoff.jitter))
            do { try await self.clock.sleep(for: pause) } catch { break }  // cancelled
        }
        self.stop()
    }

    /// Writes the commands in one go; waits for a connection first. Error replies are among the replies.
    /// Throws `RedisError.unreachable` when none came within `timeout`, else as `RedisConnection.pipeline`.
    package func pipeline(_ commands: [RedisCommand], timeout: Duration? = nil) async throws -> [RESPReply] {
        let timeout = timeout ?? self.configuration.commandTimeout
        let connection = try await self.waiters.connection(timeout: TimeAmount(timeout), on: self.group.next())
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

    private func becomeConnected(_ connection: RedisConnection) {
        self.state = .connected
        self.generation += 1
        self.up.record(1)
        if self.generation > 1 { self.reconnects.increment() }
        if self.generation > 1, self.backoff.isLogged {
            self.logger.notice(
                "Redis is connected again", metadata: ["redis.endpoint": "\(self.configuration.displayName)"])
        }
        self.waiters.connect(connection)
    }

    private func becomeDisconnected(reason: String) {
        // Logged once an outage, not once an attempt: an outage of hours must not fill a disk.
        let isFirst = self.state == .connected || self.state == .connecting(lastError: nil)
        self.state = .connecting(lastError: reason)
        self.waiters.disconnect(reason)
        self.up.record(0)
        guard isFirst, self.backoff.isLogged else { return }
        self.logger.warning(
            "Redis is not connected; work continues when it is back",
            metadata: ["redis.endpoint": "\(self.configuration.displayName)", "reason": "\(reason)"])
    }

    private func stop() {
        self.state = .stopped
        self.up.record(0)
        self.waiters.stop("the connection to Redis at \(self.configuration.displayName) was stopped")
    }

    private static func unconnected(_ configuration: RedisConfiguration) -> String {
        "Redis at \(configuration.displayName) is not connected"
    }
}
