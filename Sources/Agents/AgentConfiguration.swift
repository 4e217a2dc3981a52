internal import NIOPosix
package import Sandboxing

/// Where agents and commands live on this node and what starts them.
package struct AgentConfiguration: Sendable {
    /// The directory of the agents' directories.
    package var root: String
    /// The directory of the workspaces' directories.
    package var workspaces: String
    package var shim: String
    package var tmux: String
    package var plan: SandboxPlan
    /// Without an owner for this long a shim ends its agent; no longer than a lease, after which another
    /// node may run the job.
    package var orphanGrace: Duration
    /// How long a launch may take until the shim answers.
    package var launchTimeout: Duration
    /// How long a stopped agent may take to be gone.
    package var stopTimeout: Duration
    /// Bytes kept of each output of a command.
    package var outputLimit: Int
    package var secrets: SecretStore
    /// How long the directory of an agent that has ended is kept, its log and recording with it.
    package var retention: Duration = .seconds(30 * 86_400)
    /// What every new program waits for, where there is one.
    package var gate: SandboxGate?
    /// Where the listeners of sandboxes are served; nil where no profile has egress.
    package var egress: EgressAccess.Endpoint?
    /// Where blocking work on files and processes is done.
    package var files = FileSystemPool(.singleton)

    /// Allows 15 s for a launch, 5 s for a stop and 64 KiB for each output by default; checks nothing.
    package init(
        root: String, workspaces: String, shim: String, tmux: String, plan: SandboxPlan, orphanGrace: Duration,
        launchTimeout: Duration = .seconds(15), stopTimeout: Duration = .seconds(5), outputLimit: Int = 64 * 1024,
        secrets: SecretStore
    ) {
        self.root = root
        self.workspaces = workspaces
        self.shim = shim
        self.tmux = tmux
        self.plan = plan
        self.orphanGrace = orphanGrace
        self.launchTimeout = launchTimeout
        self.stopTimeout = stopTimeout
        self.outputLimit = outputLimit
        self.secrets = secrets
    }
}
