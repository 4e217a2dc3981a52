/// The memory that a steady rate of jobs needs in Redis, from the sizes that `ops/bench bytes` measures.
package struct CapacityPlan: Hashable, Sendable {
    /// One kind of stored data and its size in the steady state.
    package struct Item: Hashable, Sendable {
        package let name: String
        package let bytes: Int
    }

    /// Jobs per second.
    package let rate: Int
    /// Bytes of a job's result before it is sealed.
    package let resultSize: Int
    package let limits: QueueLimits

    /// Takes jobs per second and bytes per result as given; checks nothing.
    package init(rate: Int, resultSize: Int, limits: QueueLimits) {
        self.rate = rate
        self.resultSize = resultSize
        self.limits = limits
    }

    private static let requestBytes = 98
    /// A record without a result: measured as 194 bytes with a sealed result of 90.
    private static let recordBytes = 104
    /// Version, key ID, nonce and tag of a `JobEnvelope`.
    private static let sealBytes = 33
    private static let entryBytes = 340
    /// Two events per job.
    private static let auditBytes = 600

    /// The kinds of stored data.
    package var items: [Item] {
        let idempotency = Int(self.limits.idempotency.components.seconds)
        let retention = Int(self.limits.retention.components.seconds)
        // Request IDs expire in batches of half their lifetime, so a quarter of it late on average; records expire in
        // batches of ten minutes.
        return [
            Item(name: "request ids", bytes: self.rate * (idempotency + idempotency / 4) * Self.requestBytes),
            Item(
                name: "records and results",
                bytes: self.rate * (retention + 300) * (Self.recordBytes + self.resultSize + Self.sealBytes)),
            Item(name: "a minute's backlog", bytes: self.rate * 60 * Self.entryBytes),
        ]
    }

    /// Bytes of all items.
    package var total: Int { self.items.reduce(0) { $0 + $1.bytes } }

    /// Bytes to give Redis: the total, half of it again for copies while Redis writes its files and for fragmentation.
    package var recommended: Int { self.total + self.total / 2 }

    /// Bytes by which the audit trail grows per day. Nothing trims it.
    package var auditPerDay: Int { self.rate * 86_400 * Self.auditBytes }
}
