/// What a steady rate of jobs keeps in Redis' memory, by the bytes that `ops/bench bytes` measures.
package struct CapacityPlan: Hashable, Sendable {
    package struct Item: Hashable, Sendable {
        package let name: String
        package let bytes: Int
    }

    /// Jobs a second.
    package let rate: Int
    /// Bytes of a job's result before it is sealed.
    package let resultSize: Int
    package let limits: QueueLimits

    package init(rate: Int, resultSize: Int, limits: QueueLimits) {
        self.rate = rate
        self.resultSize = resultSize
        self.limits = limits
    }

    private static let requestBytes = 98
    /// A record without a result: measured 194 bytes with 90 of a sealed one.
    private static let recordBytes = 104
    /// Version, key id, nonce and tag (`JobEnvelope`).
    private static let sealBytes = 33
    private static let entryBytes = 340
    /// Two events of a job.
    private static let auditBytes = 600

    /// Each kind of thing that is kept, with its bytes at the steady state.
    package var items: [Item] {
        let idempotency = Int(self.limits.idempotency.components.seconds)
        let retention = Int(self.limits.retention.components.seconds)
        // Request ids pass away by half their lifetime at once, a quarter of it late on average; records by ten minutes.
        return [
            Item(name: "request ids", bytes: self.rate * (idempotency + idempotency / 4) * Self.requestBytes),
            Item(
                name: "records and results",
                bytes: self.rate * (retention + 300) * (Self.recordBytes + self.resultSize + Self.sealBytes)),
            Item(name: "a minute's backlog", bytes: self.rate * 60 * Self.entryBytes),
        ]
    }

    package var total: Int { self.items.reduce(0) { $0 + $1.bytes } }

    /// With room for a copy while Redis writes its files, and for what the allocator wastes.
    package var recommended: Int { self.total + self.total / 2 }

    /// What the audit trail grows by in a day; it is kept until it is archived.
    package var auditPerDay: Int { self.rate * 86_400 * Self.auditBytes }
}
