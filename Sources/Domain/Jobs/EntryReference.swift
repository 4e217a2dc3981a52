/// The location of an entry and its lease. A completion must name both to be accepted.
package struct EntryReference: Hashable, Sendable {
    package let workspace: WorkspaceID
    package let priority: Priority
    package let id: EntryID
    /// True when another entry of the same job was held at the time of delivery; the lease of this one has a separate key.
    package let isRepeated: Bool

    /// Takes the parts as given; checks nothing.
    package init(workspace: WorkspaceID, priority: Priority, id: EntryID, isRepeated: Bool = false) {
        self.workspace = workspace
        self.priority = priority
        self.id = id
        self.isRepeated = isRepeated
    }
}
