internal import Domain
package import Logging

/// Keeps the address of this node's API where other nodes find it, for as long as its task runs.
package struct PeerAdvertisement: Sendable {
    private let addresses: PeerAddresses
    private let node: String
    private let url: String
    private let now: @Sendable () -> UInt64
    private let logger: Logger

    /// A quarter of the record's lifetime.
    private static let interval = Duration.seconds(15)
    private static let pauseAfterFailure = Duration.seconds(2)

    /// `now` is the queue's clock in milliseconds since the epoch.
    package init(
        addresses: PeerAddresses, node: String, url: String, now: @escaping @Sendable () -> UInt64, logger: Logger
    ) {
        self.addresses = addresses
        self.node = node
        self.url = url
        self.now = now
        self.logger = logger
    }

    /// Publishes the address again and again until the task is cancelled, then withdraws it. Throws `CancellationError`.
    package func run(clock: any Clock<Duration>, heartbeat: @Sendable () -> Void) async throws {
        do {
            while true {
                heartbeat()
                try await clock.sleep(for: await self.publish() ? Self.interval : Self.pauseAfterFailure)
            }
        } catch {
            let (addresses, node, logger) = (self.addresses, self.node, self.logger)
            await withoutCancellation { () async -> Void in
                do { try await addresses.withdraw(node) } catch {
                    logger.debug("the address of the API is left to expire", error: error)
                }
            }
            throw error
        }
    }

    private func publish() async -> Bool {
        do {
            try await self.addresses.publish(self.url, of: self.node, at: self.now())
            return true
        } catch {
            self.logger.debug("the address of the API could not be published", error: error)
            return false
        }
    }
}
