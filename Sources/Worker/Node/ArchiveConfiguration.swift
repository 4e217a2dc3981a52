package import AuditArchive
internal import Domain

/// Where and under which key a node archives the audit trail.
package struct ArchiveConfiguration: Sendable {
    /// The directory of this node's chain; its parent exists, and no other process writes to it.
    package let directory: String
    /// The key that signs the chain; read at each `open`, since it may have been replaced. Blocks.
    package let key: @Sendable () throws -> ChainKey
    /// The key that is to sign from now on, if there is one. Blocks.
    package let nextKey: @Sendable () throws -> ChainKey?
    /// Replaces the key by the next one; called once the chain has a row that introduces it. Blocks.
    package let keyChanged: @Sendable () throws -> Void
    package var limits: ChainMachine.Limits

    /// Takes the parts as given; without the last ones the key stays.
    package init(
        directory: String, key: @autoclosure @escaping @Sendable () throws -> ChainKey,
        limits: ChainMachine.Limits = .init(),
        nextKey: @escaping @Sendable () throws -> ChainKey? = { nil },
        keyChanged: @escaping @Sendable () throws -> Void = {}
    ) {
        self.directory = directory
        self.key = key
        self.limits = limits
        self.nextKey = nextKey
        self.keyChanged = keyChanged
    }

    /// Opens the chain. A process that ended right after the chain got its next key left the older one as the key. Throws as
    /// `ArchiveWriter.open`. Blocks.
    func open(node: String, at time: UInt64) throws -> ArchiveWriter {
        do {
            return try ArchiveWriter.open(
                self.directory, node: node, key: try self.key(), limits: self.limits, at: time)
        } catch let error as ArchiveError where error.code == .wrongKey {
            guard let next = try self.nextKey() else { throw error }
            return try ArchiveWriter.open(self.directory, node: node, key: next, limits: self.limits, at: time)
        }
    }

    /// Lets the next key sign where there is one; returns whether it does from now on. Throws as `ArchiveWriter.append`.
    /// Blocks.
    func changeKey(of writer: inout ArchiveWriter, at time: UInt64) throws -> Bool {
        guard let next = try self.nextKey() else { return false }
        if writer.fingerprint != next.fingerprint { try writer.change(to: next, at: time) }
        try self.keyChanged()
        return true
    }
}
