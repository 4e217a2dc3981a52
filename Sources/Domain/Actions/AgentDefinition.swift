/// The definition of an agent, a program that runs in a terminal: one file under `Policies/agents/`.
package struct AgentDefinition: Hashable, Sendable {
    package let name: DefinitionName
    package let summary: String
    package let argv: [String]
    package let environment: [String: String]
    package let sandbox: DefinitionName
    /// The workspace's secrets that are provided to the program as files under `/run/secrets`.
    package let secrets: [DefinitionName]
    /// Lines that are typed after the prompt, each followed by Enter, to end the program.
    package let closing: [String]
    /// The maximum number of restarts after crashes within `restartPeriod`.
    package let restartIntensity: Int
    package let restartPeriod: Duration
    /// The rules that derive the state from the screen; the first match applies. A state that the program reports itself
    /// takes precedence.
    package let screen: [ScreenRule]
    /// The maximum size of the kept terminal output in bytes.
    package let logQuota: Int
    /// When the output exceeds `logQuota`: if true, the oldest output is removed; if false, the program is ended.
    package let keepsNewestLog: Bool
    package var directory: Directory
    package let promptDelivery: PromptDelivery
    /// The arguments with which the program prints its version; empty when it cannot.
    package let probe: [String]
    package let verification: AgentVerification

    /// How the program gets its prompt.
    package enum PromptDelivery: String, CaseIterable, Hashable, Sendable {
        /// It is typed into the terminal.
        case typed
        /// It is the argument that `argv` names `{prompt}`.
        case argument
    }

    /// The argument that stands for the prompt.
    package static let promptArgument = "{prompt}"

    /// The arguments of a launch with this prompt.
    package func arguments(prompt: String) -> [String] {
        guard self.promptDelivery == .argument else { return self.argv }
        return self.argv.map { $0 == Self.promptArgument ? prompt : $0 }
    }

    /// The working directory of an agent in its workspace.
    package enum Directory: Hashable, Sendable {
        /// The workspace's directory, shared with other programs.
        case shared
        /// A separate directory.
        case own
        /// A separate git worktree of the repository at this path below the workspace.
        case worktree(repository: String)
    }

    /// Takes the parts as given; checks nothing. The log quota is 256 MiB by default.
    package init(
        name: DefinitionName, summary: String, argv: [String], environment: [String: String], sandbox: DefinitionName,
        secrets: [DefinitionName] = [], closing: [String], restartIntensity: Int, restartPeriod: Duration,
        screen: [ScreenRule] = [], logQuota: Int = 256 * 1024 * 1024, keepsNewestLog: Bool = false,
        directory: Directory = .shared, promptDelivery: PromptDelivery = .typed, probe: [String] = [],
        verification: AgentVerification = .unstated
    ) {
        self.probe = probe
        self.verification = verification
        self.promptDelivery = promptDelivery
        self.directory = directory
        self.logQuota = logQuota
        self.keepsNewestLog = keepsNewestLog
        self.screen = screen
        self.name = name
        self.summary = summary
        self.argv = argv
        self.environment = environment
        self.sandbox = sandbox
        self.secrets = secrets
        self.closing = closing
        self.restartIntensity = restartIntensity
        self.restartPeriod = restartPeriod
    }
}
