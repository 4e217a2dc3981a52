/// Sizes and times of the queue, and where jobs run.
package struct QueueLimits: Sendable, Hashable {
    /// How long the record and the result of an ended job are kept.
    package var retention: Duration
    /// How long a request ID is remembered.
    package var idempotency: Duration
    /// The bound of one stream, and of a workspace's delayed jobs: submissions above it are refused.
    package var streamLength: Int
    /// How long a node's claims hold without a renewal.
    package var lease: Duration
    /// Where the jobs of a workspace run; nodes of one queue agree on whether workspaces have homes.
    package var homes: HomePolicy

    /// Takes the limits as given. By default a lease lasts 30 seconds, records and request IDs are kept for a day, and
    /// workspaces have no homes.
    package init(
        retention: Duration = .seconds(86_400), idempotency: Duration = .seconds(86_400), streamLength: Int = 1_000_000,
        lease: Duration = .seconds(30), homes: HomePolicy = .shared
    ) {
        self.retention = retention
        self.idempotency = idempotency
        self.streamLength = streamLength
        self.lease = lease
        self.homes = homes
    }
}
