/// Sizes and times of the queue.
package struct QueueLimits: Sendable, Hashable {
    /// How long a finished job's record and result are kept.
    package var retention: Duration
    /// How long a request id is remembered.
    package var idempotency: Duration
    /// Entries of one stream past which submissions are refused.
    package var streamLength: Int
    /// How long a node may be silent before others take its jobs.
    package var lease: Duration

    package init(
        retention: Duration = .seconds(86_400), idempotency: Duration = .seconds(86_400), streamLength: Int = 1_000_000,
        lease: Duration = .seconds(30)
    ) {
        self.retention = retention
        self.idempotency = idempotency
        self.streamLength = streamLength
        self.lease = lease
    }
}

extension Duration {
    package var milliseconds: Int64 {
        let parts = self.components
        return parts.seconds * 1000 + parts.attoseconds / 1_000_000_000_000_000
    }
}
