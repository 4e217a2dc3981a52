package import Jobs
package import Logging

/// Writes completions in batches: whatever is queued when the last write returned goes in the next. Under
/// load batches fill by themselves, and a lone completion leaves at once.
package actor CompletionWriter {
    private struct Item {
        let completion: Completion
        let continuation: CheckedContinuation<Bool, Never>
        /// The answer to a write of it was lost.
        var mayHaveBeenWritten = false
    }

    private let lease: NodeLease
    private let clock: any Clock<Duration>
    private let logger: Logger
    private var queue: [Item] = []
    private var signal: AsyncStream<Void>.Continuation?
    private var isAbandoned = false

    /// Redis gains nothing from larger batches (measured: 32 to 100 give all there is).
    private static let batchLimit = 128
    private static let longestPause = Duration.seconds(1)
    private static let heartbeatInterval = Duration.seconds(5)

    package init(lease: NodeLease, logger: Logger, clock: any Clock<Duration> = ContinuousClock()) {
        self.lease = lease
        self.logger = logger
        self.clock = clock
    }

    /// Returns once the completion is written (true) or was refused because the lease is another's (false), or
    /// given up with the node (false). While Redis is away it waits; what it waits with is bounded by the
    /// node's slots.
    package func write(_ completion: Completion) async -> Bool {
        guard !self.isAbandoned else { return false }
        return await withCheckedContinuation { continuation in
            self.queue.append(Item(completion: completion, continuation: continuation))
            self.signal?.yield()
        }
    }

    /// Writes what is queued until cancelled; the rest stays queued for the next run. One run at a time.
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
                while !self.queue.isEmpty, !Task.isCancelled { await self.writeBatch(heartbeat) }
            }
            group.cancelAll()
        }
    }

    /// Gives up what is queued and all that comes, because the node ends: the leases run out and the jobs run
    /// elsewhere.
    package func abandon() {
        self.isAbandoned = true
        let items = self.queue
        self.queue = []
        for item in items { item.continuation.resume(returning: false) }
    }

    private func writeBatch(_ heartbeat: @Sendable () -> Void) async {
        // They stay in the queue until they are written or refused: to let go of an outcome would leave the job
        // held by nobody and run it again one day.
        let count = min(self.queue.count, Self.batchLimit)
        let completions = self.queue.prefix(count).map(\.completion)
        var pause = Duration.milliseconds(20)
        var hasComplained = false
        while !Task.isCancelled, !self.isAbandoned {
            do {
                self.resolve(try await self.lease.finish(completions))
                return
            } catch {
                if (error as? JobQueueError)?.code != .full { self.doubt(count) }
                if error is CancellationError { return }
                if !hasComplained, (error as? JobQueueError)?.isPassing != true {
                    hasComplained = true
                    self.logger.error(
                        "outcomes cannot be written now and are kept", error: error,
                        metadata: ["jobs.count": "\(count)"])
                }
                heartbeat()
                do { try await self.clock.sleep(for: pause) } catch { return }
                pause = min(pause * 2, Self.longestPause)
            }
        }
    }

    private func resolve(_ written: [Bool]) {
        guard !self.isAbandoned else { return }
        let items = self.queue.prefix(written.count)
        self.queue.removeFirst(items.count)
        for (item, isWritten) in zip(items, written) {
            // After a lost answer "not held any more" is what the first write itself left behind.
            item.continuation.resume(returning: isWritten || item.mayHaveBeenWritten)
        }
    }

    private func doubt(_ count: Int) {
        for index in self.queue.indices.prefix(count) { self.queue[index].mayHaveBeenWritten = true }
    }
}
