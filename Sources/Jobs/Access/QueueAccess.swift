package import CoreMetrics
package import Cryptography
package import Logging
package import NIOPosix
package import Redis

/// The one way to the queue: its connections, its store, the workspaces' keys, the params' digests and the queue's clock.
///
/// A process may have several, each with connections of its own; they share keys and clock, so that what one learns of a
/// Redis that was emptied or replaced holds for all.
package struct QueueAccess: Sendable {
    /// Who uses the connections.
    package enum Role: Hashable, Sendable {
        /// A node: commands, and reads that wait.
        case node
        /// The API: one connection a lane, on which nothing waits.
        case api
        /// A command line: commands, and waiting for a job's end.
        case commandLine
    }

    package let lanes: [QueueLane]
    package let store: LanedJobStore
    package let keys: WorkspaceKeyring
    package let clock: QueueClock
    package let digester: ParamsDigester
    private let configuration: RedisConfiguration
    private let group: MultiThreadedEventLoopGroup

    /// Makes the connections, which do nothing until they are run. `elapsed` is monotonic, `wall` this machine's clock in
    /// milliseconds since the epoch. Throws `CryptographyError`, and `JobQueueError` for a queue without lanes.
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

    /// The same queue with connections of its own, and the keys and the clock of `other`. Throws as the other initializer.
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
                var aimed = redis.serving(hashTag: lane.hashTag)
                aimed.clientName = lanes > 1 ? "\(name)-\(number)" : name
                return RedisClient(configuration: aimed, group: group, logger: logger, metrics: metrics, clock: timer)
            }
            let commands = client(role == .api ? "api" : "commands")
            let blocking = role == .api ? commands : client("blocking")
            return QueueLane(
                lane: lane, commands: commands, blocking: blocking,
                queue: RedisStreamJobQueue(client: commands, blocking: blocking, limits: limits, lane: lane))
        }
    }

    /// Forgets what may have been another Redis': keys are read again, the clock is set anew, and the master key and the
    /// number of lanes are checked. To be called after each outage, and before the first use. Throws `JobQueueError`:
    /// `wrongMasterKey` and `wrongLanes` when this process does not fit the queue.
    package func rejoined() async throws {
        self.keys.forget()
        try await self.keys.verifyMaster()
        self.clock.set(try await self.store.time())
    }
}
