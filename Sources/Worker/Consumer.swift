package import Domain
package import Jobs
package import Logging
package import Redis
package import Supervision

/// Fetches work whenever there is a free slot: claims, dispatches, and sleeps in a blocking read when
/// there is nothing. A Redis that is away is waited for; it is never this child's failure.
package actor Consumer {
    private let lease: NodeLease
    private let blocking: RedisClient
    private let registry: RunRegistry
    private let dispatch: @Sendable ([Delivery]) async -> Void
    private let keys: WorkspaceKeyring
    /// Jobs of one workspace that this node holds at most.
    private let share: Int
    /// Why nothing may be claimed now, though Redis is there; nil when it may.
    private let reluctance: @Sendable () -> String?
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
    private static let outagePause = Duration.milliseconds(200)

    package init(
        lease: NodeLease, blocking: RedisClient, registry: RunRegistry,
        keys: WorkspaceKeyring, share: Int, reluctance: @escaping @Sendable () -> String? = { nil },
        dispatch: @escaping @Sendable ([Delivery]) async -> Void,
        metrics: JobMetrics, logger: Logger,
        clock: any Clock<Duration> = ContinuousClock()
    ) {
        self.lease = lease
        self.blocking = blocking
        self.registry = registry
        self.dispatch = dispatch
        self.keys = keys
        self.share = share
        self.reluctance = reluctance
        self.metrics = metrics
        self.logger = logger
        self.clock = clock
    }

    /// Claims nothing more; what is claimed is not touched.
    package func drain() async {
        self.isDraining = true
        await self.registry.wake()
    }

    /// Fetches until the task is cancelled. Throws `ChildShutdown` when trying again cannot help: the node's
    /// name is another's now, or the master key is not the one of this Redis; and `JobQueueError.failed` when
    /// Redis answers what cannot be understood.
    package func run(as child: ChildContext) async throws {
        // A claim of the last run may have been cut off: what it gave us is known to Redis alone.
        self.mayHoldUnknown = self.hasJoined
        self.problem = "the consumer has not fetched yet"
        child.ready()
        defer { if self.problem == nil { self.problem = "the consumer does not run" } }
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await self.listen() }
                group.addTask { try await self.fetchAlways(child) }
                defer { group.cancelAll() }
                try await group.next()
            }
        } catch let error as JobQueueError where error.isPermanent {
            self.problem = error.message
            throw ChildShutdown(error.message)
        }
    }

    /// Hears the bell in blocking reads, from where it stood before the first claim, so that no ring is missed, and
    /// cancels what it is told to, also what was said while Redis was away.
    /// After each read, ring or not, the other loop looks: so it turns at least every few seconds.
    private func listen() async throws {
        var heard: NodeLease.Position?
        var isCurrent = false
        while !Task.isCancelled {
            do {
                var position: NodeLease.Position
                if let heard, isCurrent {
                    position = heard
                } else {
                    position = try await self.lease.position(after: heard)
                    heard = position
                    isCurrent = true
                    await self.registry.wake()
                }
                let cancelled = try await self.lease.listen(
                    from: &position, blocking: self.blocking, timeout: Self.longestRead)
                heard = position
                for job in cancelled { await self.registry.cancel(job, .user) }
                await self.registry.wake()
            } catch let error as JobQueueError where error.isPassing {
                isCurrent = false
                // The other loop finds out for itself, and says why the node does not fetch.
                await self.registry.wake()
                try await self.clock.sleep(for: Self.outagePause)
            }
        }
        try Task.checkCancellation()
    }

    /// Claims whenever something may have changed: a ring of the bell, or a slot that became free.
    private func fetchAlways(_ child: ChildContext) async throws {
        var signals = await self.registry.listen().makeAsyncIterator()
        while !Task.isCancelled {
            child.heartbeat()
            do {
                if !self.isDraining, try await self.fetchNow() > 0 { continue }
                child.dependencyAway(nil)
                await signals.next()
                // Completions come in batches: the rest of this one frees its slots before the next claim.
                await Task.yield()
            } catch let error as JobQueueError where error.isPassing {
                self.mayHoldUnknown = self.hasJoined
                self.problem = error.message
                child.dependencyAway(error.message)
                try await self.clock.sleep(for: Self.outagePause)
            } catch let error as JobQueueError where error.code == .unknownNode {
                self.hasJoined = false
                self.logger.warning("Redis does not know this node any more; joining again")
            }
        }
        try Task.checkCancellation()
    }

    /// Joins when that is due, then claims what there are slots for; returns how many entries came.
    private func fetchNow() async throws -> Int {
        if !self.hasJoined { try await self.join() }
        if self.mayHoldUnknown { try await self.takeUnknown() }
        if let reason = self.reluctance() {
            self.problem = reason
            return 0
        }
        return try await self.fetch()
    }

    private func join() async throws {
        try await self.keys.verifyMaster()
        await self.registry.beginReconciliation()
        let asked = await self.registry.tokens
        let held = try await self.lease.join()
        self.hasJoined = true
        // What this node held before and Redis does not know of any more may run elsewhere by now.
        _ = await self.registry.dropLost(asked: asked, known: Set(held.map(\.entry.token)))
        self.problem = nil
        let fresh = await self.registry.admit(held)
        self.logger.notice("the node has joined the queue", metadata: ["jobs.recovered": "\(fresh.count)"])
        self.metrics.claimed(fresh.count, isRecovered: true)
        await self.dispatch(fresh)
    }

    /// A claim whose answer was lost may have given us entries that nobody runs.
    private func takeUnknown() async throws {
        await self.registry.beginReconciliation()
        let fresh = await self.registry.admit(try await self.lease.held())
        self.mayHoldUnknown = false
        guard !fresh.isEmpty else { return }
        self.metrics.claimed(fresh.count, isRecovered: true)
        await self.dispatch(fresh)
    }

    private func fetch() async throws -> Int {
        let free = await self.registry.free
        guard free > 0 else { return 0 }
        let claimed = try await self.lease.claim(
            most: min(free, Self.mostPerClaim), share: self.share, held: await self.registry.countsByWorkspace)
        self.problem = nil
        guard !claimed.isEmpty else { return 0 }
        let fresh = await self.registry.admit(claimed)
        self.metrics.claimed(fresh.count, isRecovered: false)
        await self.dispatch(fresh)
        return claimed.count
    }
}
