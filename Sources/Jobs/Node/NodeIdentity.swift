package import Domain

/// Identifies the caller of a node's functions. One incarnation holds a node's name: calls of an older one are refused with
/// `JobQueueError.replaced`, and its outcomes are not written.
package struct NodeIdentity: Hashable, Sendable {
    package let node: NodeID
    package let incarnation: Incarnation
    /// Distinguishes two machines that are configured with the same node name.
    package let owner: String

    /// Takes the parts as given; registers nothing.
    package init(node: NodeID, incarnation: Incarnation, owner: String) {
        self.node = node
        self.incarnation = incarnation
        self.owner = owner
    }
}
