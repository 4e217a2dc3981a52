/// The location of an entry and its lease. A completion must name both to be accepted.
package struct EntryReference: Hashable, Sendable {
    package let workspace: WorkspaceID
    package let priority: Priority
    package let id: EntryID

    /// Takes the parts as given; checks nothing.
    package init(workspace: WorkspaceID, priority: Priority, id: EntryID) {
        self.workspace = workspace
        self.priority = priority
        self.id = id
    }
}
