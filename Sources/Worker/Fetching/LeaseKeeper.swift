internal import Domain
package import Jobs
package import Logging

/// Maintains one lane: renews the node's lease, rescues the jobs of dead nodes, and makes due jobs available. Each is one
/// atomic call that any node may make, so no leader is needed.
package actor LeaseKeeper {
    private let lease: NodeLease
    private let registry: RunRegistry
    private let metrics: JobMetrics
    private let clock: any Clock<Duration>
    private let elapsed: @Sendable () -> Duration
    private let queueClock: QueueClock
    private let logger: Logger
    private var machine: LeaseMachine

    private static let tick = Duration.milliseconds(500)
    /// Jobs made available by one call.
    private static let mostDue = 500
    /// Jobs rescued by one call.
    private static let mostRescued = 200
    /// The maximum number of calls for due jobs in one tick, so that many due jobs do not delay the renewal.
    private static let dueCalls = 8

    /// `elapsed` returns monotonic time. A gap between renewals that is longer than the lease means that the node was paused
    /// or could not reach Redis.
    package init(
        lease: NodeLease, registry: RunRegistry, metrics: JobMetrics, logger: Logger,
        clock: any Clock<Duration> = ContinuousClock(), elapsed: @escaping @Sendable () -> Duration,
        queueClock: QueueClock
    ) {
        self.queueClock = queueClock
        self.lease = lease
        self.registry = registry
        self.metrics = metrics
        self.logger = logger
        self.clock = clock
        self.elapsed = elapsed
        self.machine = LeaseMachine(term: lease.queue.limits.lease)
    }

    /// Runs until the task is cancelled; calls `heartbeat` in each tick. Waits while Redis is unavailable. Throws
    /// `JobQueueError` for other failures; leases and jobs stay as they are, and `run` can be called again.
    package func run(heartbeat: @Sendable () -> Void = {}) async throws {
        self.machine.began(at: self.elapsed())
        while true {
            heartbeat()
            try await self.clock.sleep(for: Self.tick)
            // Read before the call, because the compared entries must be older than the answer.
            let now = self.elapsed()
            let lease = self.lease
            let asked = await self.registry.entries { lease.serves($0) }
            do {
                if self.machine.isRenewalDue(at: now) { try await self.renew(asked, at: now) }
                for _ in 0..<Self.dueCalls {
                    guard try await self.lease.queue.moveDue(most: Self.mostDue) == Self.mostDue else { break }
                    heartbeat()
                }
            } catch let error as JobQueueError where error.code == .unknownNode {
                // The node that removed this one rescued its jobs. The consumer joins again.
                self.machine.failed(at: now)
                let lost = await self.registry.dropLost(asked: asked, known: [])
                if lost > 0 {
                    self.logger.warning(
                        "other nodes declared this node dead and rescued its jobs", metadata: ["jobs.lost": "\(lost)"])
                }
            } catch let error as JobQueueError where error.isTransient {
                self.machine.failed(at: now)
            }
        }
    }

    private func renew(_ asked: Set<EntryReference>, at now: Duration) async throws {
        let renewal = try await self.lease.renew()
        self.queueClock.set(try await self.lease.queue.time())
        let consequence = self.machine.renewed(
            at: now, dead: renewal.dead, here: asked.count, there: renewal.held)
        for job in renewal.cancelled { await self.registry.cancel(job, .user) }
        if consequence.mayHoldUnknown { await self.registry.requireReconciliation(lane: self.lease.lane.number) }
        if consequence.mayBeLost { try await self.dropLostRuns(asked, gap: consequence.gap) }
        for name in consequence.rescue { try await self.rescue(name) }
    }

    /// After a gap longer than the lease, other nodes may have rescued the jobs. Cancels the runs whose leases are lost;
    /// nothing of them is written.
    private func dropLostRuns(_ asked: Set<EntryReference>, gap: Duration) async throws {
        let known = Set(try await self.lease.held().map(\.entry))
        let lost = await self.registry.dropLost(asked: asked, known: known)
        self.logger.warning(
            "the lease was not renewed in time", metadata: ["lease.gap": "\(gap)", "jobs.lost": "\(lost)"])
    }

    /// Makes all jobs of a dead node available again.
    private func rescue(_ dead: String) async throws {
        var total = 0
        while true {
            let moved = try await self.lease.queue.rescue(dead, most: Self.mostRescued)
            total += moved
            if moved < Self.mostRescued { break }
        }
        self.metrics.rescued(total)
        self.logger.notice(
            "rescued the jobs of a dead node", metadata: ["node.id": "\(dead)", "jobs.count": "\(total)"])
    }
}
