package import Jobs
package import Logging

/// Writes completions in batches: whatever is queued when the last write returned goes in the next. Under
/// load batches fill by themselves, and a lone completion leaves at once.
package actor CompletionWriter {
    private let lease: NodeLease
    private let clock: any Clock<Duration>
    private let logger: Logger
    private var queue: [(completion: Completion, continuation: CheckedContinuation<Bool, Never>)] = []
    private let signals: AsyncStream<Void>
    private let signal: AsyncStream<Void>.Continuation

    /// Redis gains nothing from larger batches (measured: 32 to 100 give all there is).
    private static let batchLimit = 128
    private static let longestPause = Duration.seconds(1)

    package init(lease: NodeLease, logger: Logger, clock: any Clock<Duration> = ContinuousClock()) {
        self.lease = lease
        self.logger = logger
        self.clock = clock
        (self.signals, self.signal) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Returns once the completion is written (true) or was refused because the lease is another's (false).
    /// While Redis is away it waits; what it waits with is bounded by the node's slots.
    package func write(_ completion: Completion) async -> Bool {
        await withCheckedContinuation { continuation in
            self.queue.append((completion, continuation))
            self.signal.yield()
        }
    }

    /// Writes what is queued until cancelled; then answers the rest with false, unwritten.
    package func run() async {
        for await _ in self.signals {
            while !self.queue.isEmpty, !Task.isCancelled { await self.writeBatch() }
        }
        for item in self.queue { item.continuation.resume(returning: false) }
        self.queue = []
    }

    private func writeBatch() async {
        let batch = Array(self.queue.prefix(Self.batchLimit))
        self.queue.removeFirst(batch.count)
        var pause = Duration.milliseconds(20)
        var mayHaveBeenWritten = false
        var hasComplained = false
        // An outcome is kept until it is written or refused: to let go of it would leave the job held by
        // nobody and run it again one day.
        while !Task.isCancelled {
            do {
                let written = try await self.lease.finish(batch.map(\.completion))
                for (item, isWritten) in zip(batch, written) {
                    // After a lost answer "not held any more" is what the first write itself left behind.
                    item.continuation.resume(returning: isWritten || mayHaveBeenWritten)
                }
                return
            } catch is CancellationError {
                break
            } catch {
                mayHaveBeenWritten = mayHaveBeenWritten || (error as? JobQueueError)?.code != .full
                if !hasComplained, (error as? JobQueueError)?.isPassing != true {
                    hasComplained = true
                    self.logger.error(
                        "outcomes cannot be written now and are kept", error: error,
                        metadata: ["jobs.count": "\(batch.count)"])
                }
                do { try await self.clock.sleep(for: pause) } catch { break }
                pause = min(pause * 2, Self.longestPause)
            }
        }
        for item in batch { item.continuation.resume(returning: false) }
    }
}
