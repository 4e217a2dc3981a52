package import Domain

/// One time at which a schedule is due.
package struct ScheduleTick: Hashable, Sendable {
    package let schedule: DefinitionName
    package let workspace: WorkspaceID
    /// Milliseconds since the epoch.
    package let time: UInt64

    /// Takes a time in milliseconds since the epoch; does not check that the schedule is due then.
    package init(schedule: DefinitionName, workspace: WorkspaceID, time: UInt64) {
        self.schedule = schedule
        self.workspace = workspace
        self.time = time
    }

    /// The name of the schedule in the queue: unique over all workspaces.
    package var name: String { "\(self.workspace)/\(self.schedule)" }
}
