package import Domain

/// A part of the keyspace whose keys share a slot of a Redis Cluster. Each workspace belongs to exactly one lane.
package struct Lane: Hashable, Sendable {
    package let number: Int

    /// Takes a number, counted from 0; does not check that the queue has this lane.
    package init(number: Int) { self.number = number }

    /// The only lane of a queue that is not divided.
    package static let single = Lane(number: 0)

    /// Returns the lane of a workspace among `count`. FNV-1a gives the same result on every machine and in every version.
    package static func of(_ workspace: WorkspaceID, among count: Int) -> Lane {
        guard count > 1 else { return .single }
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in workspace.name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return Lane(number: Int(hash % UInt64(count)))
    }

    /// The part of a key's name that determines its slot.
    package var hashTag: String { "l\(self.number)" }

    /// Returns the full name of a key of this lane.
    package func key(_ name: String) -> String { "orc:{\(self.hashTag)}:\(name)" }

    /// The key that function calls pass to name the lane.
    package var anchor: String { self.key("lane") }
}
