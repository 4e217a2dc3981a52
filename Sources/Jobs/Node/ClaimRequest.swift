package import Domain

/// The capacity of a node for one claim.
package struct ClaimRequest: Sendable {
    /// The maximum number of entries.
    package var most: Int
    /// The entries per turn of a workspace with weight 1.
    package var quantum: Int
    /// The maximum number of entries of one workspace that this node holds.
    package var share: Int
    /// The number of entries that this node holds, per workspace.
    package var held: [WorkspaceID: Int]
    /// Increases with each claim of an incarnation.
    package var number: UInt64

    /// Limits `share` to 1,000,000; takes the other parts as given.
    package init(
        most: Int, quantum: Int = 32, share: Int = 1_000_000, held: [WorkspaceID: Int] = [:], number: UInt64 = 0
    ) {
        self.number = number
        self.most = most
        self.quantum = quantum
        self.share = min(share, 1_000_000)
        self.held = held
    }

    /// Returns a fair quantum for a number of free slots, small enough that several workspaces get some of them.
    package static func quantum(for free: Int) -> Int { max(1, min(32, free / 4)) }
}
