package import Domain

/// The reply to a claim.
package struct Claim: Sendable {
    package let deliveries: [Delivery]
    /// The number of entries of cancelled jobs that were removed.
    package let dropped: Int
    /// The number of entries of ended jobs that were removed unrun. Another writer had added them.
    package let refused: Int
    /// True when workspaces remain that this node may serve: its own, and those without a home. When it is false, the
    /// wake-up stream announces the next work.
    package let hasMore: Bool
    /// The workspaces that moved to this node by this claim.
    package let moved: [WorkspaceMove]
}
