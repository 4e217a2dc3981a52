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
    let lease: NodeLease
    let writer: CompletionWriter
    let keeper: LeaseKeeper
    let serverCheck: ServerCheck

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
