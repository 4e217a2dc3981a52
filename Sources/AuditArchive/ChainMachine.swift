package import Cryptography
internal import Domain

/// Makes the rows of a chain. Pure: it returns what to store, and the caller keeps the changed value only once that is
/// stored.
package struct ChainMachine: Sendable {
    /// When a segment ends, and when a checkpoint is due.
    package struct Limits: Hashable, Sendable {
        /// The size from which on a segment gets no more rows.
        package var segmentBytes = 64 * 1024 * 1024
        /// The number of rows after which a checkpoint is written.
        package var checkpointRows: UInt64 = 1000
        /// The time in milliseconds after which rows without a checkpoint get one.
        package var checkpointInterval: UInt64 = 60_000

        /// Has the limits of a node.
        package init() {}
    }

    /// What is to be stored for one step: first the rows, then the head.
    package struct Batch: Hashable, Sendable {
        /// The number of the segment that the rows are appended to.
        package let segment: Int
        /// The size of that segment before; 0 when it is to be made.
        package let offset: Int
        /// The rows with their newlines.
        package let bytes: [UInt8]
        /// Replaces the head once the rows are stored.
        package let head: ArchiveHead
    }

    private let node: String
    private let limits: Limits
    private var key: ChainKey
    private var origin: [UInt8]
    private var segment: Int
    private var size: Int
    private var sequence: UInt64
    private var digest: [UInt8]
    private var sealed: UInt64
    private var sealedAt: UInt64
    /// The size of the segment at the beginning of the step, and the rows of the step.
    private var offset: Int
    private var pending: [UInt8] = []

    /// A new chain, and its first rows: the key and a checkpoint. Throws `CryptographyError` when they cannot be signed.
    package static func begin(
        node: String, key: ChainKey, limits: Limits, at time: UInt64
    ) throws(CryptographyError) -> (ChainMachine, Batch) {
        var machine = ChainMachine(
            node: node, origin: [], segment: 1, size: 0, sequence: 0, digest: [UInt8](repeating: 0, count: 32),
            sealed: 0, sealedAt: time, key: key, limits: limits)
        try machine.introduce(key, after: nil, at: time)
        machine.origin = machine.digest
        try machine.addCheckpoint(at: time)
        return (machine, try machine.batch(at: time))
    }

    /// Continues a chain whose last row is stored; `sealed` is the row of its last checkpoint, made at `sealedAt`.
    init(
        node: String, origin: [UInt8], segment: Int, size: Int, sequence: UInt64, digest: [UInt8], sealed: UInt64,
        sealedAt: UInt64, key: ChainKey, limits: Limits
    ) {
        self.node = node
        self.limits = limits
        self.key = key
        self.origin = origin
        self.segment = segment
        self.size = size
        self.offset = size
        self.sequence = sequence
        self.digest = digest
        self.sealed = sealed
        self.sealedAt = sealedAt
    }

    /// The fingerprint of the key that signs now.
    package var fingerprint: String { self.key.fingerprint }

    /// Adds events, and a checkpoint where one is due. Throws `CryptographyError` when a row cannot be digested or signed.
    package mutating func append(_ events: [ArchivedEvent], at time: UInt64) throws(CryptographyError) -> Batch {
        self.beginStep()
        for event in events {
            try self.add(ArchiveRow.event(event, sequence: self.sequence + 1, previous: self.digest))
            if self.sequence - self.sealed >= self.limits.checkpointRows { try self.addCheckpoint(at: time) }
        }
        if self.isCheckpointDue(at: time) || (self.size >= self.limits.segmentBytes && self.sealed < self.sequence) {
            try self.addCheckpoint(at: time)
        }
        return try self.batch(at: time)
    }

    /// Whether rows have waited for a checkpoint for as long as the limits allow, or the clock went back.
    package func isCheckpointDue(at time: UInt64) -> Bool {
        self.sealed < self.sequence && (time < self.sealedAt || time - self.sealedAt >= self.limits.checkpointInterval)
    }

    /// Adds a checkpoint; nil when the last row is one. Throws as `append`.
    package mutating func checkpoint(at time: UInt64) throws(CryptographyError) -> Batch? {
        guard self.sealed < self.sequence else { return nil }
        self.beginStep()
        try self.addCheckpoint(at: time)
        return try self.batch(at: time)
    }

    /// Lets another key sign from here on: the present one signs the row that introduces it. Throws as `append`.
    package mutating func change(to key: ChainKey, at time: UInt64) throws(CryptographyError) -> Batch {
        self.beginStep()
        if self.sealed < self.sequence { try self.addCheckpoint(at: time) }
        try self.introduce(key, after: self.key, at: time)
        self.key = key
        try self.addCheckpoint(at: time)
        return try self.batch(at: time)
    }

    /// States the present end without adding a row.
    func head(at time: UInt64) throws(CryptographyError) -> ArchiveHead {
        try ArchiveHead(
            node: self.node, origin: self.origin, segment: self.segment, sequence: self.sequence, digest: self.digest,
            time: time, key: self.key)
    }

    // MARK: - Steps

    /// All rows of a step are in one segment, so that a step is one write.
    private mutating func beginStep() {
        if self.size >= self.limits.segmentBytes {
            self.segment += 1
            self.size = 0
        }
        self.offset = self.size
        self.pending = []
    }

    private mutating func batch(at time: UInt64) throws(CryptographyError) -> Batch {
        let bytes = self.pending
        self.pending = []
        return Batch(segment: self.segment, offset: self.offset, bytes: bytes, head: try self.head(at: time))
    }

    private mutating func add(_ line: [UInt8]) throws(CryptographyError) {
        self.digest = try Digests.sha256(line)
        self.sequence += 1
        self.pending += line
        self.pending.append(0x0a)
        self.size += line.count + 1
    }

    private mutating func addCheckpoint(at time: UInt64) throws(CryptographyError) {
        try self.add(
            try ArchiveRow.checkpoint(
                sequence: self.sequence + 1, previous: self.digest, time: time, key: self.key))
        self.sealed = self.sequence
        self.sealedAt = time
    }

    private mutating func introduce(
        _ key: ChainKey, after before: ChainKey?, at time: UInt64
    ) throws(CryptographyError) {
        try self.add(
            try ArchiveRow.key(
                key, after: before, node: self.node, sequence: self.sequence + 1, previous: self.digest, time: time))
    }
}
