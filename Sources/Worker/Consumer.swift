package import Domain
package import Jobs
package import Logging
package import Redis

/// Fetches work whenever there is a free slot: claims, dispatches, and sleeps in a blocking read when
/// there is nothing. A Redis that is away is waited for; it is never this child's failure.
package actor Consumer {
    private let lease: NodeLease
    private let blocking: RedisClient
    private let registry: RunRegistry
    private let dispatch: @Sendable ([Delivery]) async -> Void
    private let metrics: JobMetrics
    private let clock: any Clock<Duration>
    private let logger: Logger
    private var isDraining = false
    private var mayHoldUnknown = false

    /// Why the node does not fetch now; nil when the last fetch went well.
    package private(set) var problem: String? = "the node has not joined the queue yet"
    package private(set) var hasJoined = false

    /// A blocking read never lasts longer, so that a deaf connection is noticed (its deadline is a second more).
    private static let longestRead = Duration.seconds(2)
    private static let mostPerClaim = 128

    package init(
        lease: NodeLease, blocking: RedisClient, registry: RunRegistry,
        dispatch: @escaping @Sendable ([Delivery]) async -> Void, metrics: JobMetrics, logger: Logger,
        clock: any Clock<Duration> = ContinuousClock()
    ) {
        self.lease = lease
        self.blocking = blocking
        self.registry = registry
        self.dispatch = dispatch
        self.metrics = metrics
        self.logger = logger
        self.clock = clock
    }

    /// Claims nothing more; what is claimed is not touched.
    package func drain() async {
        self.isDraining = true
        await self.registry.wake()
    }

    /// Fetches until the task is cancelled. Throws `JobQueueError` `.replaced` or `.nameTaken` when the
    /// node's name is another's now, and `.failed` when Redis answers what cannot be understood.
    package func run(ready: @Sendable () -> Void) async throws {
        ready()
        var bell: String?
        while !Task.isCancelled {
            guard !self.isDraining else {
                try await self.parkUntilCancelled()
                return
            }
            do {
                if !self.hasJoined { try await self.join() }
                if self.mayHoldUnknown { try await self.takeUnknown() }
                await self.registry.waitForSlot()
                if self.isDraining { continue }
                let position = if let bell { bell } else { try await self.lease.bellPosition() }
                bell = position
                if try await self.fetch() > 0 { continue }
                var next = position
                try await self.lease.waitForWork(bell: &next, blocking: self.blocking, timeout: Self.longestRead)
                bell = next
            } catch let error as JobQueueError where error.code == .unavailable {
                bell = nil
                self.mayHoldUnknown = self.hasJoined
                try await self.pause(error)
            } catch let error as JobQueueError where error.code == .unknownNode {
                self.hasJoined = false
                self.logger.warning("Redis does not know this node any more; joining again")
            }
        }
    }

    private func join() async throws {
        let held = try await self.lease.join()
        self.hasJoined = true
        self.problem = nil
        let fresh = await self.registry.admit(held)
        self.logger.notice("the node has joined the queue", metadata: ["jobs.recovered": "\(fresh.count)"])
        self.metrics.claimed(fresh.count, isRecovered: true)
        await self.dispatch(fresh)
    }

    /// A claim whose answer was lost may have given us entries that nobody runs.
    private func takeUnknown() async throws {
        let fresh = await self.registry.admit(try await self.lease.held())
        self.mayHoldUnknown = false
        guard !fresh.isEmpty else { return }
        self.metrics.claimed(fresh.count, isRecovered: true)
        await self.dispatch(fresh)
    }

    private func fetch() async throws -> Int {
        let free = await self.registry.free
        let claimed = try await self.lease.claim(most: min(max(1, free), Self.mostPerClaim))
        self.problem = nil
        guard !claimed.isEmpty else { return 0 }
        let fresh = await self.registry.admit(claimed)
        self.metrics.claimed(fresh.count, isRecovered: false)
        await self.dispatch(fresh)
        return claimed.count
    }

    private func pause(_ error: JobQueueError) async throws {
        self.problem = error.message
        try await self.clock.sleep(for: .milliseconds(200))
    }

    private func parkUntilCancelled() async throws {
        while !Task.isCancelled { try await self.clock.sleep(for: .seconds(3600)) }
    }
}
