internal import Domain
package import Jobs
package import Logging
internal import Synchronization

/// Writes completions in batches: whatever is queued when the last write returned goes in the next. Under
/// load batches fill by themselves, and a lone completion leaves at once.
package actor CompletionWriter {
    private struct Item {
        let completion: Completion
        let resolved: (@Sendable (_ isWritten: Bool) -> Void)?
        /// The answer to a write of it was lost.
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
    /// Beside the actor, because each job puts one thing in and a hop costs more than that.
    private nonisolated let inbox = Mutex(Inbox())
    private var queue: [Item] = []

    /// Redis gains nothing from larger batches (measured: 32 to 100 give all there is).
    private static let batchLimit = 128
    private static let longestPause = Duration.seconds(1)
    private static let heartbeatInterval = Duration.seconds(5)

    /// `registry` is told of each delivery whose completion was written or refused.
    package init(
        lease: NodeLease, registry: RunRegistry, logger: Logger, clock: any Clock<Duration> = ContinuousClock()
    ) {
        self.lease = lease
        self.registry = registry
        self.logger = logger
        self.clock = clock
    }

    /// Takes charge of a completion: it is kept until it is written, or refused because the lease is another's, and
    /// its delivery's slot is freed then and `resolved` called. While Redis is away what is kept is bounded by the
    /// node's slots.
    package nonisolated func write(
        _ completion: Completion, resolved: (@Sendable (_ isWritten: Bool) -> Void)? = nil
    ) {
        self.inbox.withLock { inbox in
            inbox.items.append(Item(completion: completion, resolved: resolved))
            if inbox.items.count == 1 { inbox.signal?.yield() }
        }
    }

    /// Moves what has come to the queue's end.
    private func takeIn() {
        self.queue += self.inbox.withLock { inbox in
            defer { inbox.items.removeAll(keepingCapacity: true) }
            return inbox.items
        }
    }

    /// Writes what is queued until cancelled, and tries once more then; what is left stays queued for the next run.
    /// One run at a time.
    package func run(heartbeat: @Sendable () -> Void = {}) async {
        let (signals, signal) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        self.inbox.withLock { $0.signal = signal }
        signal.yield()
        let clock = self.clock
        await withTaskGroup { group in
            // Wakes the loop, so that its heartbeat says that it still turns.
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
                self.takeIn()
                while !self.queue.isEmpty, !Task.isCancelled {
                    heartbeat()
                    await self.writeBatch(heartbeat)
                    self.takeIn()
                }
            }
            group.cancelAll()
        }
        self.takeIn()
        // A shield, awaited here: those who handed something over as they ended count on one try.
        if !self.queue.isEmpty { _ = await Task { await self.tryBatch() }.value }
    }

    private func writeBatch(_ heartbeat: @Sendable () -> Void) async {
        // They stay in the queue until they are written or refused: to let go of an outcome would leave the job
        // held by nobody and run it again one day.
        var pause = Duration.milliseconds(20)
        var hasComplained = false
        while !Task.isCancelled {
            guard let error = await self.tryBatch() else { return }
            if !hasComplained, (error as? JobQueueError)?.isTransient != true, !(error is CancellationError) {
                hasComplained = true
                self.logger.error(
                    "outcomes cannot be written now and are kept", error: error,
                    metadata: ["jobs.count": "\(self.queue.count)"])
            }
            heartbeat()
            do { try await self.clock.sleep(for: pause) } catch { return }
            pause = min(pause * 2, Self.longestPause)
        }
    }

    /// Writes what stands first in the queue; nil when that went well.
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

    private func resolve(_ written: [Bool]) async {
        let items = self.queue.prefix(written.count)
        self.queue.removeFirst(items.count)
        await self.registry.release(items.map(\.completion.delivery.entry))
        for (item, isWritten) in zip(items, written) {
            // After a lost answer "not held any more" is what the first write itself left behind.
            item.resolved?(isWritten || item.mayHaveBeenWritten)
        }
    }
}
