package import CoreMetrics
package import Cryptography
package import Logging
package import NIOPosix
package import Redis

/// The access of a process to the queue: connections, store, workspace keys, digests of params and the queue's clock.
///
/// A process may have several, each with its own connections. They share keys and clock, so that after Redis was emptied or
/// replaced a refresh of one is valid for all.
package struct QueueAccess: Sendable {
    /// What the connections are used for.
    package enum Role: Hashable, Sendable {
        /// A node: commands and blocking reads.
        case node
        /// The API: one connection per lane, without blocking calls.
        case api
        /// A command line: commands, and blocking calls that wait for the end of a job.
        case commandLine
    }

    package let lanes: [QueueLane]
    package let store: LanedJobStore
    package let keys: WorkspaceKeyring
    package let clock: QueueClock
    package let digester: ParamsDigester
    private let configuration: RedisConfiguration
    private let group: MultiThreadedEventLoopGroup

    /// Creates the clients, which connect when they are run. `elapsed` is monotonic; `wall` is this machine's clock in
    /// milliseconds since the epoch. Throws `CryptographyError`, and `JobQueueError` when `lanes` is 0.
    package init(
        redis: RedisConfiguration, lanes: Int, limits: QueueLimits, master: SealingKey, role: Role,
        group: MultiThreadedEventLoopGroup, metrics: any MetricsFactory, logger: Logger,
        timer: any Clock<Duration> = ContinuousClock(), elapsed: @escaping @Sendable () -> Duration,
        wall: @escaping @Sendable () -> UInt64
    ) throws {
        let connections = Self.connect(
            redis, lanes: lanes, limits: limits, role: role, group: group, metrics: metrics, logger: logger,
            timer: timer)
        self.configuration = redis
        self.group = group
        self.lanes = connections
        self.store = try LanedJobStore(lanes: connections.map(\.queue))
        self.keys = WorkspaceKeyring(queue: self.store, master: master)
        self.clock = QueueClock(elapsed: elapsed, wall: wall)
        self.digester = ParamsDigester(key: try master.derived(for: "orchestra/params-digest/1"))
    }

    /// Creates clients for the same queue that share the keys and the clock of `other`. Throws as the other initializer.
    package init(
        sharing other: QueueAccess, role: Role, metrics: any MetricsFactory, logger: Logger,
        timer: any Clock<Duration> = ContinuousClock()
    ) throws {
        let connections = Self.connect(
            other.configuration, lanes: other.lanes.count, limits: other.store.limits, role: role, group: other.group,
            metrics: metrics, logger: logger, timer: timer)
        self.configuration = other.configuration
        self.group = other.group
        self.lanes = connections
        self.store = try LanedJobStore(lanes: connections.map(\.queue))
        self.keys = other.keys
        self.clock = other.clock
        self.digester = other.digester
    }

    private static func connect(
        _ redis: RedisConfiguration, lanes: Int, limits: QueueLimits, role: Role, group: MultiThreadedEventLoopGroup,
        metrics: any MetricsFactory, logger: Logger, timer: any Clock<Duration>
    ) -> [QueueLane] {
        (0..<lanes).map { number in
            let lane = Lane(number: number)
            func client(_ name: String) -> RedisClient {
                var configuration = redis.serving(hashTag: lane.hashTag)
                configuration.clientName = lanes > 1 ? "\(name)-\(number)" : name
                return RedisClient(
                    configuration: configuration, group: group, logger: logger, metrics: metrics, clock: timer)
            }
            let commands = client(role == .api ? "api" : "commands")
            let blocking = role == .api ? commands : client("blocking")
            return QueueLane(
                lane: lane, commands: commands, blocking: blocking,
                queue: RedisStreamJobQueue(client: commands, blocking: blocking, limits: limits, lane: lane))
        }
    }

    /// Discards what may belong to another Redis: discards the cached keys, checks the master key and the number of lanes,
    /// and sets the clock. Call it before the first use and after each outage. Throws `JobQueueError`: `wrongMasterKey` and
    /// `wrongLanes` when the configuration of this process does not match the queue; the clock is not set then.
    package func refresh() async throws {
        self.keys.forget()
        try await self.keys.verifyMaster()
        self.clock.set(try await self.store.time())
    }
}
