package import Domain
package import Jobs
package import Logging
package import Supervision

/// Fetches the work of one lane: claims entries while slots are free, dispatches them, and waits in a blocking read when
/// there are none. Waits while Redis is unavailable; an outage is not a failure of this child.
package actor Consumer {
    private let lease: NodeLease
    private let registry: RunRegistry
    private let dispatch: @Sendable ([Delivery]) async -> Void
    /// Called before each join: drops cached state of an earlier Redis, and checks that the settings of this process match
    /// the queue.
    private let rejoined: @Sendable () async throws -> Void
    /// The maximum number of jobs of one workspace that this node holds.
    private let share: Int
    /// Why the node must not claim now although Redis is available; nil if it may.
    private let pauseReason: @Sendable () -> String?
    private let metrics: JobMetrics
    private let clock: any Clock<Duration>
    private let logger: Logger
    private var machine = FetchMachine()

    /// Why the node does not fetch now; nil when the last fetch went well.
    package private(set) var problem: String? = "the node has not joined the queue yet"
    /// Whether the node has joined this lane.
    package var hasJoined: Bool { self.machine.hasJoined }

    /// The maximum time of a blocking read. Its deadline is one second later, so a dead connection is detected.
    private static let longestRead = Duration.seconds(2)
    private static let mostPerClaim = 128
    /// The pause between attempts while Redis is unavailable.
    private static let outagePause = Duration.milliseconds(200)

    /// `dispatch` hands deliveries to their workspaces and returns when they are accepted. For the other parameters see the
    /// properties.
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

    /// Stops claiming. Does not affect claimed jobs.
    package func drain() async {
        self.machine.drained()
        await self.registry.wake(lane: self.lease.lane.number)
    }

    /// Fetches until the task is cancelled. Throws `ChildShutdown` when a retry cannot help: another process has the node's
    /// name, or the master key, the number of lanes or `workspaces.shared` does not match this Redis. Throws `JobQueueError.failed` when the
    /// response of Redis is malformed. Claimed jobs are kept; `run` can be called again.
    package func run(as child: ChildContext) async throws {
        self.machine.began()
        self.problem = "the consumer has not fetched yet"
        child.ready()
        defer { if self.problem == nil { self.problem = "the consumer is not running" } }
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await self.listen() }
                group.addTask { try await self.fetch(child) }
                defer { group.cancelAll() }
                try await group.next()
            }
        } catch {
            // Other lanes must not wait for the next run of this one, which may start much later.
            await self.registry.withdraw(lane: self.lease.lane.number)
            guard let error = error as? JobQueueError, error.isPermanent else { throw error }
            self.problem = error.message
            throw ChildShutdown(error.message)
        }
    }

    /// Reads the bell and the cancellations with blocking reads. Reads from the position before the first claim, so that no
    /// signal is missed, and continues after an outage from the last position. Wakes the fetch loop after each read, even
    /// without a signal, so that it runs at least every few seconds.
    private func listen() async throws {
        var lastPosition: QueuePosition?
        var isCurrent = false
        while !Task.isCancelled {
            do {
                var position: QueuePosition
                if let lastPosition, isCurrent {
                    position = lastPosition
                } else {
                    position = try await self.lease.queue.position(after: lastPosition)
                    lastPosition = position
                    isCurrent = true
                    self.machine.rang()
                    await self.registry.wake(lane: self.lease.lane.number)
                }
                let cancelled = try await self.lease.queue.listen(from: &position, timeout: Self.longestRead)
                lastPosition = position
                for job in cancelled { await self.registry.cancel(job, .user) }
                self.machine.rang()
                await self.registry.wake(lane: self.lease.lane.number)
            } catch let error as JobQueueError where error.isTransient {
                isCurrent = false
                // The fetch loop reports the outage, and queries the held entries when Redis is available again. It may be
                // another server then.
                self.machine.failed()
                await self.registry.wake(lane: self.lease.lane.number)
                try await self.clock.sleep(for: Self.outagePause)
            }
        }
        try Task.checkCancellation()
    }

    /// Claims after each signal: the bell rang, or a slot became free.
    private func fetch(_ child: ChildContext) async throws {
        var signals = await self.registry.listen(lane: self.lease.lane.number).makeAsyncIterator()
        while !Task.isCancelled {
            child.heartbeat()
            do {
                if try await self.takeStep() { continue }
                child.dependencyAway(nil)
                await signals.next()
                // Completions come in batches. Let the rest of the batch free its slots before the next claim.
                await Task.yield()
            } catch let error as JobQueueError where error.isTransient {
                self.machine.failed()
                self.problem = error.message
                child.dependencyAway(error.message)
                try await self.clock.sleep(for: Self.outagePause)
            } catch let error as JobQueueError where error.code == .unknownNode {
                self.machine.forgotten()
                self.logger.warning("Redis does not know this node; joining again")
            }
        }
        try Task.checkCancellation()
    }

    /// Takes one step. Returns false when there is nothing to do until the next signal.
    private func takeStep() async throws -> Bool {
        let reason = self.pauseReason()
        if await self.registry.takeNeedsReconciliation(lane: self.lease.lane.number) { self.machine.failed() }
        let step = self.machine.next(isPaused: reason != nil)
        // Other lanes must not wait for a call that may take its whole deadline.
        if !step.wantsSlot { await self.registry.withdraw(lane: self.lease.lane.number) }
        switch step {
        case .wait:
            self.problem = reason
            return false
        case .join:
            try await self.join()
            return true
        case .askHeld(let fence):
            try await self.recoverDeliveries(fence: fence)
            return true
        case .claim(let number): return try await self.claim(number)
        }
    }

    /// Joins the lane and dispatches the deliveries that an earlier incarnation held.
    private func join() async throws {
        // After an outage the queue may be another one, with other keys.
        try await self.rejoined()
        let (lease, registry) = (self.lease, self.registry)
        let fresh = try await registry.reconcile {
            let asked = await registry.entries { lease.serves($0) }
            let held = try await lease.join()
            // Entries that the queue does not list any more may run on another node.
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

    /// Dispatches entries that the queue assigned to this node in an answer that was lost.
    private func recoverDeliveries(fence: UInt64) async throws {
        let lease = self.lease
        let fresh = try await self.registry.reconcile { try await lease.held(fence: fence) }
        self.machine.receivedHeld()
        guard !fresh.isEmpty else { return }
        self.metrics.claimed(fresh.count, isRecovered: true)
        await self.dispatch(fresh)
    }

    /// Claims entries for free slots and dispatches them. Returns whether to claim again at once.
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
                "removed entries of ended jobs from the queue",
                metadata: ["entries.count": "\(claim.refused)", "lane": "\(self.lease.lane.number)"])
        }
        for move in claim.moved {
            self.logger.notice(
                "a workspace moved to this node from the one that has its files",
                metadata: ["workspace.id": "\(move.workspace)", "node.id": "\(move.origin)"])
        }
        guard !claim.deliveries.isEmpty else { return claim.dropped + claim.refused > 0 }
        self.metrics.claimed(fresh.count, isRecovered: false)
        await self.dispatch(fresh)
        return true
    }
}
