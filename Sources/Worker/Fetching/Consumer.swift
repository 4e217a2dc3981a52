package import Domain
package import Jobs
package import Logging
package import Supervision

/// Fetches work whenever there is a free slot: claims, dispatches, and sleeps in a blocking read when
/// there is nothing. A Redis that is away is waited for; it is never this child's failure.
package actor Consumer {
    private let lease: NodeLease
    private let registry: RunRegistry
    private let dispatch: @Sendable ([Delivery]) async -> Void
    /// Forgets what may have been another Redis' and checks that this process fits the queue.
    private let rejoined: @Sendable () async throws -> Void
    /// Jobs of one workspace that this node holds at most.
    private let share: Int
    /// Why nothing may be claimed now, though Redis is there; nil when it may.
    private let pauseReason: @Sendable () -> String?
    private let metrics: JobMetrics
    private let clock: any Clock<Duration>
    private let logger: Logger
    private var machine = FetchMachine()

    /// Why the node does not fetch now; nil when the last fetch went well.
    package private(set) var problem: String? = "the node has not joined the queue yet"
    package var hasJoined: Bool { self.machine.hasJoined }

    /// A blocking read never lasts longer, so that a deaf connection is noticed (its deadline is a second more).
    private static let longestRead = Duration.seconds(2)
    private static let mostPerClaim = 128
    private static let outagePause = Duration.milliseconds(200)

    package init(
        lease: NodeLease, registry: RunRegistry,
        rejoined: @escaping @Sendable () async throws -> Void, share: Int,
        pauseReason: @escaping @Sendable () -> String? = { nil },
        dispatch: @escaping @Sendable ([Delivery]) async -> Void,
        metrics: JobMetrics, logger: Logger,
        clock: any Clock<Duration> = ContinuousClock()
    ) {
        self.lease = lease
        self.registry = registry
        self.dispatch = dispatch
        self.rejoined = rejoined
        self.share = share
        self.pauseReason = pauseReason
        self.metrics = metrics
        self.logger = logger
        self.clock = clock
    }

    /// Claims nothing more; what is claimed is not touched.
    package func drain() async {
        self.machine.drained()
        await self.registry.wake(lane: self.lease.lane.number)
    }

    /// Fetches until the task is cancelled. Throws `ChildShutdown` when trying again cannot help: the node's
    /// name is another's now, or the master key is not the one of this Redis; and `JobQueueError.failed` when
    /// Redis answers what cannot be understood.
    package func run(as child: ChildContext) async throws {
        self.machine.began()
        self.problem = "the consumer has not fetched yet"
        child.ready()
        defer { if self.problem == nil { self.problem = "the consumer does not run" } }
        // An earlier run may have ended while it waited for a slot.
        await self.registry.withdraw(lane: self.lease.lane.number)
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
        var heard: QueuePosition?
        var isCurrent = false
        while !Task.isCancelled {
            do {
                var position: QueuePosition
                if let heard, isCurrent {
                    position = heard
                } else {
                    position = try await self.lease.queue.position(after: heard)
                    heard = position
                    isCurrent = true
                    self.machine.rang()
                    await self.registry.wake(lane: self.lease.lane.number)
                }
                let cancelled = try await self.lease.queue.listen(from: &position, timeout: Self.longestRead)
                heard = position
                for job in cancelled { await self.registry.cancel(job, .user) }
                self.machine.rang()
                await self.registry.wake(lane: self.lease.lane.number)
            } catch let error as JobQueueError where error.isTransient {
                isCurrent = false
                // The other loop asks what is held when Redis is back, which may be another one then; until that it says
                // why the node does not fetch.
                self.machine.failed()
                await self.registry.wake(lane: self.lease.lane.number)
                try await self.clock.sleep(for: Self.outagePause)
            }
        }
        try Task.checkCancellation()
    }

    /// Claims whenever something may have changed: a ring of the bell, or a slot that became free.
    private func fetchAlways(_ child: ChildContext) async throws {
        var signals = await self.registry.listen(lane: self.lease.lane.number).makeAsyncIterator()
        while !Task.isCancelled {
            child.heartbeat()
            do {
                if try await self.fetchNow() { continue }
                child.dependencyAway(nil)
                await signals.next()
                // Completions come in batches: the rest of this one frees its slots before the next claim.
                await Task.yield()
            } catch let error as JobQueueError where error.isTransient {
                self.machine.failed()
                self.problem = error.message
                await self.registry.withdraw(lane: self.lease.lane.number)
                child.dependencyAway(error.message)
                try await self.clock.sleep(for: Self.outagePause)
            } catch let error as JobQueueError where error.code == .unknownNode {
                self.machine.forgotten()
                self.logger.warning("Redis does not know this node any more; joining again")
            }
        }
        try Task.checkCancellation()
    }

    /// Takes one step; false when there is nothing to do until something changes.
    private func fetchNow() async throws -> Bool {
        let reason = self.pauseReason()
        if await self.registry.takeNeedsReconciliation(lane: self.lease.lane.number) { self.machine.failed() }
        switch self.machine.next(isPaused: reason != nil) {
        case .wait:
            self.problem = reason
            await self.registry.withdraw(lane: self.lease.lane.number)
            return false
        case .join:
            try await self.join()
            return true
        case .askHeld(let fence):
            try await self.takeUnknown(fence: fence)
            return true
        case .claim(let number): return try await self.claim(number)
        }
    }

    private func join() async throws {
        // After an outage the queue may be another one, with keys of its own.
        try await self.rejoined()
        let (lease, registry) = (self.lease, self.registry)
        let fresh = try await registry.reconcile {
            let asked = await registry.entries { lease.serves($0) }
            let held = try await lease.join()
            // What this node held before and the queue does not know of any more may run elsewhere by now.
            _ = await registry.dropLost(asked: asked, known: Set(held.map(\.entry)))
            return held
        }
        self.machine.joined()
        self.problem = nil
        self.logger.notice(
            "the node has joined the queue",
            metadata: ["jobs.recovered": "\(fresh.count)", "lane": "\(lease.lane.number)"])
        self.metrics.claimed(fresh.count, isRecovered: true)
        await self.dispatch(fresh)
    }

    /// A claim whose answer was lost may have given us entries that nobody runs.
    private func takeUnknown(fence: UInt64) async throws {
        let lease = self.lease
        let fresh = try await self.registry.reconcile { try await lease.held(fence: fence) }
        self.machine.heardHeld()
        guard !fresh.isEmpty else { return }
        self.metrics.claimed(fresh.count, isRecovered: true)
        await self.dispatch(fresh)
    }

    /// True when something came, or more may be there.
    private func claim(_ number: UInt64) async throws -> Bool {
        let reserved = await self.registry.reserve(Self.mostPerClaim, for: self.lease.lane.number)
        guard reserved > 0 else { return false }
        let request = ClaimRequest(
            most: reserved, quantum: ClaimRequest.quantum(for: reserved), share: self.share,
            held: await self.registry.countsByWorkspace, number: number)
        let claim: Claim
        do {
            claim = try await self.lease.claim(request)
        } catch {
            _ = await self.registry.admit([], intoReserved: reserved)
            throw error
        }
        self.problem = nil
        self.machine.claimed(hasMore: claim.hasMore)
        let fresh = await self.registry.admit(claim.deliveries, intoReserved: reserved)
        if claim.refused > 0 {
            self.logger.error(
                "entries of jobs that have ended were found in the queue and removed",
                metadata: ["entries.count": "\(claim.refused)", "lane": "\(self.lease.lane.number)"])
        }
        guard !claim.deliveries.isEmpty else { return claim.dropped + claim.refused > 0 }
        self.metrics.claimed(fresh.count, isRecovered: false)
        await self.dispatch(fresh)
        return true
    }
}
