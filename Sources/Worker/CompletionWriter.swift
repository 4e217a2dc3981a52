internal import Domain
package import Jobs
package import Logging

/// Writes completions in batches: whatever is queued when the last write returned goes in the next. Under
/// load batches fill by themselves, and a lone completion leaves at once.
package actor CompletionWriter {
    /// What became of a completion.
    package enum Fate: Sendable {
        case written
        /// The lease is another's.
        case refused
        /// Nobody waits for it any more; it is written when that is possible.
        case queued
    }

    private struct Item {
        let id: Int
        let completion: Completion
        var continuation: CheckedContinuation<Fate, Never>?
        /// The answer to a write of it was lost.
        var mayHaveBeenWritten = false
    }

    private let lease: NodeLease
    private let registry: RunRegistry
    private let clock: any Clock<Duration>
    private let logger: Logger
    private var queue: [Item] = []
    private var lastID = 0
    private var signal: AsyncStream<Void>.Continuation?

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

    /// Takes charge of the completion: it is kept until it is written or refused, and its delivery's slot is freed
    /// then. Waits for that, but not beyond the cancellation of the task. While Redis is away what is queued is
    /// bounded by the node's slots.
    package func write(_ completion: Completion) async -> Fate {
        let id = self.append(completion)
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                guard !Task.isCancelled, let index = self.queue.firstIndex(where: { $0.id == id }) else {
                    return continuation.resume(returning: .queued)
                }
                self.queue[index].continuation = continuation
            }
        } onCancel: {
            Task { await self.stopWaiting(for: id) }  // resumes the waiter, which is what is awaited
        }
    }

    /// Takes charge of the completion without waiting.
    package func enqueue(_ completion: Completion) { _ = self.append(completion) }

    private func append(_ completion: Completion) -> Int {
        self.lastID += 1
        self.queue.append(Item(id: self.lastID, completion: completion))
        self.signal?.yield()
        return self.lastID
    }

    private func stopWaiting(for id: Int) {
        guard let index = self.queue.firstIndex(where: { $0.id == id }) else { return }
        self.queue[index].continuation?.resume(returning: .queued)
        self.queue[index].continuation = nil
    }

    /// Writes what is queued until cancelled, and tries once more then; what is left stays queued for the next run.
    /// One run at a time.
    package func run(heartbeat: @Sendable () -> Void = {}) async {
        let (signals, signal) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        self.signal = signal
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
                while !self.queue.isEmpty, !Task.isCancelled {
                    heartbeat()
                    await self.writeBatch(heartbeat)
                }
            }
            group.cancelAll()
        }
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
            if !hasComplained, (error as? JobQueueError)?.isPassing != true, !(error is CancellationError) {
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
            item.continuation?.resume(returning: isWritten || item.mayHaveBeenWritten ? .written : .refused)
        }
    }
}
