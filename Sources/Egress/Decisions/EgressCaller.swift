package import Domain

/// The launch whose listener accepted a connection. The listener identifies it, so a caller cannot claim another identity.
package struct EgressCaller: Hashable, Sendable {
    package let workspace: WorkspaceID
    package let job: JobID
    /// The number of the launch of the job's agent.
    package let launch: Int
    /// The agent definition whose program it is; nil for a command.
    package let definition: DefinitionName?

    /// Takes the parts as given.
    package init(workspace: WorkspaceID, job: JobID, launch: Int, definition: DefinitionName? = nil) {
        self.definition = definition
        self.workspace = workspace
        self.job = job
        self.launch = launch
    }
}
