internal import Domain
package import Jobs
package import Logging
internal import Synchronization

/// Writes completions in batches. Each batch contains what was queued during the previous write, so batches grow under load
/// and a single completion is written at once.
package actor CompletionWriter {
    private struct Item {
        let completion: Completion
        let resolved: (@Sendable (_ isWritten: Bool) -> Void)?
        /// True when the answer to an earlier write was lost.
        var mayHaveBeenWritten = false
    }

    private struct Inbox {
        var items: [Item] = []
        var signal: AsyncStream<Void>.Continuation?
    }

    private let lease: NodeLease
    private let registry: RunRegistry
    private let clock: any Clock<Duration>
    private let logger: Logger
    /// Outside the actor, because a hop for each job costs more than the lock.
    private nonisolated let inbox = Mutex(Inbox())
    private var queue: [Item] = []

    /// Larger batches do not increase the throughput of Redis (measured: it is highest from 32 to 100).
    private static let batchLimit = 128
    private static let longestPause = Duration.seconds(1)
    private static let heartbeatInterval = Duration.seconds(5)

    /// Releases each delivery in `registry` after its completion was written or refused.
    package init(
        lease: NodeLease, registry: RunRegistry, logger: Logger, clock: any Clock<Duration> = ContinuousClock()
    ) {
        self.lease = lease
        self.registry = registry
        self.logger = logger
        self.clock = clock
    }

    /// Takes over a completion and returns at once. Keeps it until it is written, or refused because the node no longer has
    /// the lease; then releases the delivery's slot and calls `resolved`. While Redis is unavailable, the number of kept
    /// completions is bounded by the node's slots.
    package nonisolated func write(
        _ completion: Completion, resolved: (@Sendable (_ isWritten: Bool) -> Void)? = nil
    ) {
        self.inbox.withLock { inbox in
            inbox.items.append(Item(completion: completion, resolved: resolved))
            if inbox.items.count == 1 { inbox.signal?.yield() }
        }
    }

    /// Moves the completions from the inbox to the queue.
    private func emptyInbox() {
        self.queue += self.inbox.withLock { inbox in
            defer { inbox.items.removeAll(keepingCapacity: true) }
            return inbox.items
        }
    }

    /// Writes completions until the task is cancelled, and tries to write one last batch then. The rest stays queued for
    /// the next call. Only one call may be active.
    package func run(heartbeat: @Sendable () -> Void = {}) async {
        let (signals, signal) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        self.inbox.withLock { $0.signal = signal }
        signal.yield()
        let clock = self.clock
        await withTaskGroup { group in
            // Wakes the loop regularly, so that it sends its heartbeat while there is nothing to write.
            group.addTask {
                do {
                    while true {
                        try await clock.sleep(for: Self.heartbeatInterval)
                        signal.yield()
                    }
                } catch { return }
            }
            for await _ in signals {
                heartbeat()
                self.emptyInbox()
                while !self.queue.isEmpty, !Task.isCancelled {
                    heartbeat()
                    await self.writeBatch(heartbeat)
                    self.emptyInbox()
                }
            }
            group.cancelAll()
        }
        self.emptyInbox()
        // This task is cancelled. Jobs that ended because of the shutdown rely on this attempt.
        if !self.queue.isEmpty { _ = await withoutCancellation { await self.tryBatch() } }
    }

    private func writeBatch(_ heartbeat: @Sendable () -> Void) async {
        // Completions stay in the queue until they are written or refused. A lost completion would leave the job in this
        // node's running hash, and it would run again later.
        var pause = Duration.milliseconds(20)
        var hasLogged = false
        while !Task.isCancelled {
            guard let error = await self.tryBatch() else { return }
            if !hasLogged, (error as? JobQueueError)?.isTransient != true, !(error is CancellationError) {
                hasLogged = true
                self.logger.error(
                    "completions cannot be written and are kept for another attempt", error: error,
                    metadata: ["jobs.count": "\(self.queue.count)"])
            }
            heartbeat()
            do { try await self.clock.sleep(for: pause) } catch { return }
            pause = min(pause * 2, Self.longestPause)
        }
    }

    /// Writes the first batch of the queue. Returns the error, or nil on success; after an error the batch stays queued.
    @discardableResult
    private func tryBatch() async -> (any Error)? {
        let count = min(self.queue.count, Self.batchLimit)
        do {
            await self.resolve(try await self.lease.finish(self.queue.prefix(count).map(\.completion)))
            return nil
        } catch {
            if (error as? JobQueueError)?.code != .full {
                for index in self.queue.indices.prefix(count) { self.queue[index].mayHaveBeenWritten = true }
            }
            return error
        }
    }

    /// Removes the written completions from the queue, and releases their deliveries.
    private func resolve(_ written: [Bool]) async {
        let items = self.queue.prefix(written.count)
        self.queue.removeFirst(items.count)
        await self.registry.release(items.map(\.completion.delivery.entry))
        for (item, isWritten) in zip(items, written) {
            // After a lost answer, a refusal can be the effect of the first write.
            item.resolved?(isWritten || item.mayHaveBeenWritten)
        }
    }
}
