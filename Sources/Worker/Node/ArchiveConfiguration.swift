package import AuditArchive

/// Where and under which key a node archives the audit trail.
package struct ArchiveConfiguration: Sendable {
    /// The directory of this node's chain; its parent exists, and no other process writes to it.
    package let directory: String
    /// The key that signs the chain.
    package let key: ChainKey
    package var limits: ChainMachine.Limits

    /// Takes the parts as given.
    package init(directory: String, key: ChainKey, limits: ChainMachine.Limits = .init()) {
        self.directory = directory
        self.key = key
        self.limits = limits
    }
}
