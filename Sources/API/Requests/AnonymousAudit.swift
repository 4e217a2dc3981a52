internal import Audit
internal import Logging
internal import Synchronization

/// Writes the audit trail's rows for requests without a principal: one for each address and minute, with a count.
///
/// Anybody who reaches the port can send such requests, so none of them may cost a row of its own. Their number is
/// bounded in memory and in Redis: 256 addresses a minute and node, and one row for all others.
final class AnonymousAudit: Sendable {
    private let tally = Mutex(AnonymousTally(limit: 256))
    private let append: @Sendable ([UInt8]) async throws -> Void
    private let now: @Sendable () -> UInt64
    private let node: String
    private let logger: Logger

    private static let interval = Duration.seconds(60)

    /// `append` writes one row; `now` is in milliseconds since the epoch.
    init(
        node: String, now: @escaping @Sendable () -> UInt64, logger: Logger,
        append: @escaping @Sendable ([UInt8]) async throws -> Void
    ) {
        self.node = node
        self.now = now
        self.logger = logger
        self.append = append
    }

    /// Counts one request; `address` is that of its client's network.
    func note(_ request: AnonymousTally.Request, from address: String) {
        self.tally.withLock { $0.note(request, from: address) }
    }

    /// Writes what was counted each minute, until it is cancelled. The caller flushes once more after that.
    func run(clock: any Clock<Duration> = ContinuousClock()) async {
        while !Task.isCancelled {
            do { try await clock.sleep(for: Self.interval) } catch { return }
            await self.flush()
        }
    }

    /// Writes what was counted. What cannot be written is counted again, for the next time.
    func flush() async {
        let entries = self.tally.withLock { $0.drain() }
        for (index, entry) in entries.enumerated() {
            do {
                try await self.append(entry.event(node: self.node, time: self.now()).encoded)
            } catch {
                self.tally.withLock { $0.restore(entries[index...]) }
                self.logger.warning(
                    "requests without a credential could not be written to the audit trail; trying again later",
                    error: error, metadata: ["addresses": "\(entries.count - index)"])
                return
            }
        }
    }
}
