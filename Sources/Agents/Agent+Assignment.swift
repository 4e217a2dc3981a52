package import Domain
package import Sandboxing

extension Agent {
    /// What one agent is to do, and where.
    package struct Assignment: Sendable {
        package let directory: AgentDirectory
        package let definition: AgentDefinition
        package let profile: SandboxProfile
        package let workspacePath: String
        package let workspace: WorkspaceID?
        package let prompt: String
        /// This node held the job in an earlier life, so the last launch on disk is this delivery's own.
        package let isRecovered: Bool
        /// The node's incarnation: a shim refuses an owner older than one that it has seen.
        package let epoch: UInt64
        /// False when a launch that was cut off may have had its effect, and must not be repeated.
        package let isRepeatable: Bool

        /// Takes the parts as given; without a `workspace` there is none, and a launch is repeatable by default.
        package init(
            directory: AgentDirectory, definition: AgentDefinition, profile: SandboxProfile, workspacePath: String,
            workspace: WorkspaceID? = nil, prompt: String, isRecovered: Bool, epoch: UInt64, isRepeatable: Bool = true
        ) {
            self.directory = directory
            self.definition = definition
            self.profile = profile
            self.workspacePath = workspacePath
            self.workspace = workspace
            self.prompt = prompt
            self.isRecovered = isRecovered
            self.epoch = epoch
            self.isRepeatable = isRepeatable
        }
    }
}
