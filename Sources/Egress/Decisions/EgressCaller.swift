package import Domain

/// The launch whose listener accepted a connection. The listener identifies it, so a caller cannot claim another identity.
package struct EgressCaller: Hashable, Sendable {
    package let workspace: WorkspaceID
    package let job: JobID
    /// The number of the launch of the job's agent.
    package let launch: Int

    /// Takes the parts as given.
    package init(workspace: WorkspaceID, job: JobID, launch: Int) {
        self.workspace = workspace
        self.job = job
        self.launch = launch
    }
}
