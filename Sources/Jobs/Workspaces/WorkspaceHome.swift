/// A workspace that has a home, or had one, and the node that has its files.
package struct WorkspaceHome: Hashable, Sendable {
    /// Whether a node is there.
    package enum Presence: Hashable, Sendable {
        case present
        /// It left or was declared dead at a time, in milliseconds since the epoch; 0 when that is not known any more.
        case away(since: UInt64)
    }

    package let workspace: String
    package let node: String
    /// False when the node is not its home any more: the next node that claims becomes its home, without these files.
    package let isHome: Bool
    package let presence: Presence

    /// Takes the parts as given; changes no home.
    package init(workspace: String, node: String, isHome: Bool, presence: Presence) {
        self.workspace = workspace
        self.node = node
        self.isHome = isHome
        self.presence = presence
    }
}
