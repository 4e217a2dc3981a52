internal import CoreMetrics
internal import Domain
internal import Jobs
internal import Logging
internal import NIOPosix
internal import Redis

/// The parts of a node for one lane of the queue: connections, lease, completion writer and maintenance.
struct NodeLane {
    /// The suffix of the IDs of the lane's children; empty if there is only one lane.
    let suffix: String
    let commands: RedisClient
    let blocking: RedisClient
    let lease: NodeLease
    let writer: CompletionWriter
    let keeper: LeaseKeeper
    let serverCheck: ServerCheck
    let lossCheck: LossCheck

    init(
        _ lane: QueueLane, of access: QueueAccess, identity: NodeIdentity, registry: RunRegistry,
        jobMetrics: JobMetrics, logger: Logger, clock: any Clock<Duration>,
        elapsed: @escaping @Sendable () -> Duration
    ) {
        self.suffix = access.lanes.count > 1 ? "-\(lane.lane.number)" : ""
        self.commands = lane.commands
        self.blocking = lane.blocking
        self.lease = NodeLease(
            queue: lane.queue, identity: identity, lane: lane.lane, laneCount: access.lanes.count)
        self.writer = CompletionWriter(lease: self.lease, registry: registry, logger: logger, clock: clock)
        self.keeper = LeaseKeeper(
            lease: self.lease, registry: registry, metrics: jobMetrics, logger: logger, clock: clock, elapsed: elapsed,
            queueClock: access.clock)
        self.serverCheck = ServerCheck(client: self.commands, queue: lane.queue, logger: logger)
        self.lossCheck = LossCheck(
            lease: self.lease, queueClock: access.clock, metrics: jobMetrics, logger: logger)
    }
}
