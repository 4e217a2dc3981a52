package import Cryptography

/// A workspace's sealing key and the ID under which it is stored.
package struct WorkspaceKey: Sendable {
    package let id: UInt32
    package let key: SealingKey
    /// The first bytes of the wrapped key in Redis, which are random. They distinguish it from a key that was stored under
    /// the same ID after Redis was emptied. Empty for a key that is not stored.
    package let stamp: [UInt8]
    /// The key of the digests by which the queue recognizes requests, params and unique keys. It is derived from the master
    /// key and is the same for all keys of a workspace, so that a repeated request is recognized with any of them.
    package let digestKey: [UInt8]

    /// Bytes of a stamp.
    static let stampLength = 12

    /// Takes the parts as given; the stamp is empty for a key that is not stored.
    package init(id: UInt32, key: SealingKey, digestKey: [UInt8], stamp: [UInt8] = []) {
        self.id = id
        self.key = key
        self.stamp = stamp
        self.digestKey = digestKey
    }
}
