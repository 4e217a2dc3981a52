package import Domain

/// A slice of the keyspace whose keys share a slot of a Redis Cluster.
package struct Lane: Hashable, Sendable {
    package let number: Int

    package init(number: Int) { self.number = number }

    /// The only lane of a single Redis.
    package static let single = Lane(number: 0)

    /// The lane of a workspace among so many. FNV-1a: small, and the same on every machine for ever.
    package static func of(_ workspace: WorkspaceID, among count: Int) -> Lane {
        guard count > 1 else { return .single }
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in workspace.name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return Lane(number: Int(hash % UInt64(count)))
    }

    /// What of a key's name decides its slot.
    package var hashTag: String { "l\(self.number)" }

    /// The whole name of a key of this lane.
    package func key(_ name: String) -> String { "orc:{\(self.hashTag)}:\(name)" }

    /// The key that names the lane in function calls.
    package var anchor: String { self.key("lane") }
}
