internal import Domain
package import Jobs
package import Logging

/// The node's maintenance: renews its lease, puts a dead node's jobs back in line, and jobs whose time
/// has come. Each is one atomic call that any node may make, so no leader is needed.
package actor LeaseKeeper {
    private let lease: NodeLease
    private let registry: RunRegistry
    private let metrics: JobMetrics
    private let clock: any Clock<Duration>
    private let elapsed: @Sendable () -> Duration
    private let logger: Logger
    /// Kept over restarts of the loop: a gap must be seen by whoever renews next.
    private var renewedAt: Duration?
    private var steadySince = Duration.zero

    private static let tick = Duration.milliseconds(500)

    /// `elapsed` tells monotonic time; a gap longer than the lease means that the node was paused.
    package init(
        lease: NodeLease, registry: RunRegistry, metrics: JobMetrics, logger: Logger,
        clock: any Clock<Duration> = ContinuousClock(), elapsed: @escaping @Sendable () -> Duration
    ) {
        self.lease = lease
        self.registry = registry
        self.metrics = metrics
        self.logger = logger
        self.clock = clock
        self.elapsed = elapsed
    }

    package func run(heartbeat: @Sendable () -> Void = {}) async throws {
        let term = self.lease.queue.limits.lease
        self.steadySince = self.elapsed()
        while true {
            heartbeat()
            try await self.clock.sleep(for: Self.tick)
            // Taken before the call: what is asked about must be older than the answer.
            let now = self.elapsed()
            let asked = await self.registry.tokens
            do {
                _ = try await self.lease.moveDue()
                let gap = now - (self.renewedAt ?? self.steadySince)
                guard gap >= term / 3 else { continue }
                let renewal = try await self.lease.renew()
                self.renewedAt = now
                for job in renewal.cancelled { await self.registry.cancel(job, .user) }
                if gap > term { try await self.dropLostRuns(asked, gap: gap) }
                if gap > term * 3 / 4 { self.steadySince = now }
                // After an outage every node's lease looks over. Who has not renewed in peace for a whole term
                // does not judge the others: they get the time to say that they live.
                guard now - self.steadySince >= term else { continue }
                for name in renewal.dead { try await self.rescue(name) }
            } catch let error as JobQueueError where error.code == .unknownNode {
                // Whoever removed this node took its jobs. The consumer joins again.
                self.steadySince = now
                let lost = await self.registry.dropLost(asked: asked, known: [])
                if lost > 0 {
                    self.logger.warning("this node was given up by the others", metadata: ["jobs.lost": "\(lost)"])
                }
            } catch let error as JobQueueError where error.isPassing {
                self.steadySince = now
            }
        }
    }

    /// After a pause longer than the lease others may have taken the jobs: what is not held ends unwritten.
    private func dropLostRuns(_ asked: Set<String>, gap: Duration) async throws {
        let known = Set(try await self.lease.held().map(\.entry.token))
        let lost = await self.registry.dropLost(asked: asked, known: known)
        self.logger.warning(
            "the lease was not renewed in time", metadata: ["lease.gap": "\(gap)", "jobs.lost": "\(lost)"])
    }

    private func rescue(_ dead: String) async throws {
        var total = 0
        while true {
            let moved = try await self.lease.rescue(dead)
            total += moved
            if moved < 200 { break }
        }
        self.metrics.rescued(total)
        self.logger.notice(
            "a dead node's jobs were put back in line", metadata: ["node.id": "\(dead)", "jobs.count": "\(total)"])
    }
}
