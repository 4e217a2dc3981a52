internal import CoreMetrics
internal import Domain
package import Jobs
internal import Logging
internal import NIOPosix
internal import Redis

/// What a node has for one lane of the queue: its connections, its lease, who fetches and who writes.
struct NodeLane {
    /// The end of the lane's children's ids; empty where there is one lane only.
    let suffix: String
    let commands: RedisClient
    let blocking: RedisClient
    let queue: RedisStreamJobQueue
    let lease: NodeLease
    let writer: CompletionWriter
    let keeper: LeaseKeeper
    let serverCheck: ServerCheck

    init(
        number: Int, of configuration: NodeConfiguration, identity: NodeIdentity, registry: RunRegistry,
        jobMetrics: JobMetrics, group: MultiThreadedEventLoopGroup, metrics: any MetricsFactory, logger: Logger,
        clock: any Clock<Duration>, elapsed: @escaping @Sendable () -> Duration, queueClock: QueueClock
    ) {
        let lane = Lane(number: number)
        let suffix = configuration.lanes > 1 ? "-\(number)" : ""
        func client(_ role: String) -> RedisClient {
            var redis = configuration.redis.serving(hashTag: lane.hashTag)
            redis.clientName = role + suffix
            return RedisClient(configuration: redis, group: group, logger: logger, metrics: metrics, clock: clock)
        }
        self.suffix = suffix
        self.commands = client("commands")
        self.blocking = client("blocking")
        self.queue = RedisStreamJobQueue(
            client: self.commands, blocking: self.blocking, limits: configuration.limits, lane: lane)
        self.lease = NodeLease(queue: self.queue, identity: identity, lane: lane, laneCount: configuration.lanes)
        self.writer = CompletionWriter(lease: self.lease, registry: registry, logger: logger, clock: clock)
        self.keeper = LeaseKeeper(
            lease: self.lease, registry: registry, metrics: jobMetrics, logger: logger, clock: clock, elapsed: elapsed,
            queueClock: queueClock)
        self.serverCheck = ServerCheck(client: self.commands, logger: logger)
    }
}

/// The writers of the lanes; each workspace's completions go to its lane's.
package struct CompletionWriters: Sendable {
    private let writers: [CompletionWriter]

    package init(_ writers: [CompletionWriter]) { self.writers = writers }

    /// Takes charge of a completion, as `CompletionWriter.write`.
    package func write(_ completion: Completion, resolved: (@Sendable (_ isWritten: Bool) -> Void)? = nil) {
        let lane = Lane.of(completion.delivery.workspace, among: self.writers.count)
        self.writers[lane.number].write(completion, resolved: resolved)
    }
}
