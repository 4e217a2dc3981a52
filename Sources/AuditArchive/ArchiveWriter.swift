internal import Cryptography
internal import Domain

/// The archive of one node: a chain in a directory. A value, so that a step that failed leaves the state before it; open it
/// again after a failure. All calls block.
package struct ArchiveWriter: Sendable {
    /// What `open` removed: rows behind the signed head. For the log.
    package let repairs: [String]
    private let directory: String
    private var machine: ChainMachine
    /// Places of events that the last segments have, of which the queue may not know yet.
    private var recent: Set<String>

    /// Opens the chain of a node, or begins one in a directory that does not exist or is empty; its parent must exist. No
    /// other process may write to it. Removes rows behind the signed head, which no key vouches for. Throws `ArchiveError`:
    /// `damaged` when the rows do not lead to the head or more is behind it than one step, `wrongKey` when another key signed
    /// it; nothing is changed then.
    package static func open(
        _ directory: String, node: String, key: ChainKey, limits: ChainMachine.Limits = .init(), at time: UInt64
    ) throws -> ArchiveWriter {
        try ArchiveFiles.makeDirectory(directory)
        let names = try ArchiveFiles.names(in: directory) ?? []
        let segments = ArchiveFiles.segments(among: names).numbers
        let headPath = "\(directory)/\(ArchiveFiles.head)"
        guard let bytes = try ArchiveFiles.read(headPath, limit: 4096) else {
            return try self.begin(directory, segments: segments, node: node, key: key, limits: limits, at: time)
        }
        guard let head = ArchiveHead(bytes), head.node == node else {
            throw ArchiveError(code: .damaged, message: "\(headPath) is not the head of node \(node)'s archive")
        }
        guard head.key == key.fingerprint else {
            throw ArchiveError(
                code: .wrongKey,
                message:
                    "the archive \(directory) is signed by key \(Printable.text(head.key)), and this node has \(key.fingerprint); restore the key, or move the archive aside to begin another"
            )
        }
        guard let signer = SignatureKey.ed25519(key.publicKey), head.isSigned(by: signer) else {
            throw ArchiveError(code: .damaged, message: "the signature of \(headPath) does not hold")
        }
        let end = try ArchiveEnd(of: directory, segments: segments, head: head)
        let machine = ChainMachine(
            node: node, origin: head.origin, segment: head.segment, size: end.size, sequence: head.sequence,
            digest: head.digest, sealed: end.sealed, sealedAt: time, key: key, limits: limits)
        let repairs = try self.cut(directory, behind: head, at: end.size, of: segments)
        return ArchiveWriter(repairs: repairs, directory: directory, machine: machine, recent: end.places)
    }

    /// Removes what is behind the signed head. The queue counts no event there as archived, so those that it has are read
    /// again, and what somebody else added is gone. Returns what was removed.
    private static func cut(
        _ directory: String, behind head: ArchiveHead, at size: Int, of segments: [Int]
    ) throws(ArchiveError) -> [String] {
        var removed: [String] = []
        for segment in segments where segment > head.segment {
            let path = "\(directory)/\(ArchiveFiles.segment(segment))"
            try ArchiveFiles.remove(path)
            removed.append(path)
        }
        let path = "\(directory)/\(ArchiveFiles.segment(head.segment))"
        if try ArchiveFiles.truncate(path, to: size) { removed.append("\(path) from byte \(size) on") }
        return removed
    }

    private init(repairs: [String], directory: String, machine: ChainMachine, recent: Set<String>) {
        self.repairs = repairs
        self.directory = directory
        self.machine = machine
        self.recent = recent
    }

    private static func begin(
        _ directory: String, segments: [Int], node: String, key: ChainKey, limits: ChainMachine.Limits, at time: UInt64
    ) throws -> ArchiveWriter {
        var repairs: [String] = []
        if !segments.isEmpty {
            // A node that ended while it began its chain left no event. Anything else has lost its head.
            let path = "\(directory)/\(ArchiveFiles.segment(1))"
            let rows = try ArchiveFiles.read(path, limit: 4096) ?? []
            guard segments == [1], rows.count < 4096,
                rows.split(separator: 0x0a).allSatisfy({ ArchiveRow($0)?.place == nil })
            else {
                throw ArchiveError(
                    code: .damaged, message: "the archive \(directory) has segments and no \(ArchiveFiles.head)")
            }
            try ArchiveFiles.truncate(path, to: 0)
            repairs = ["the beginning of the chain, without an event"]
        }
        let (machine, batch) = try ChainMachine.begin(node: node, key: key, limits: limits, at: time)
        let writer = ArchiveWriter(repairs: repairs, directory: directory, machine: machine, recent: [])
        try writer.store(batch)
        return writer
    }

    /// Appends the events that the archive does not have, and returns once they are on disk; returns how many those are.
    /// Throws when they cannot be stored: none of them is in the archive then, or all are and have a head, and the next
    /// `open` finds which.
    package mutating func append(_ events: [ArchivedEvent], at time: UInt64) throws -> Int {
        let new = self.recent.isEmpty ? events : events.filter { !self.recent.contains($0.place) }
        guard !new.isEmpty else { return 0 }
        // As hexadecimal digits, with the rest of the row.
        if let long = new.first(where: { 2 * $0.bytes.count + 4096 > SegmentLines.longest }) {
            throw ArchiveError(
                code: .storage, message: "an event of \(long.bytes.count) bytes at \(long.place) is too long for a row")
        }
        var machine = self.machine
        try self.store(try machine.append(new, at: time))
        self.machine = machine
        return new.count
    }

    /// Appends a checkpoint when one is due, or in any case; does nothing when the last row is one. Throws as `append`.
    package mutating func seal(at time: UInt64, always: Bool = false) throws {
        guard always || self.machine.isCheckpointDue(at: time) else { return }
        var machine = self.machine
        guard let batch = try machine.checkpoint(at: time) else { return }
        try self.store(batch)
        self.machine = machine
    }

    /// Lets another key sign from here on. Throws as `append`.
    package mutating func change(to key: ChainKey, at time: UInt64) throws {
        var machine = self.machine
        try self.store(try machine.change(to: key, at: time))
        self.machine = machine
    }

    /// The fingerprint of the key that signs now.
    package var fingerprint: String { self.machine.fingerprint }

    /// To be called once the queue knows of all events that the archive had when it was opened.
    package mutating func forgetRecent() { self.recent = [] }

    private func store(_ batch: ChainMachine.Batch) throws {
        let path = "\(self.directory)/\(ArchiveFiles.segment(batch.segment))"
        let head = "\(self.directory)/\(ArchiveFiles.head)"
        try ArchiveFiles.append(batch.bytes, to: path, at: batch.offset)
        do throws(ArchiveError) {
            try ArchiveFiles.replace(head, with: batch.head.line + [0x0a])
        } catch {
            try ArchiveFiles.truncate(path, to: batch.offset)
            throw error
        }
        // The new head is in its place, so its rows stay also when this fails.
        try ArchiveFiles.syncDirectory(of: head)
    }
}
