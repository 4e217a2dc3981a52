/// What an action is: one file under `Policies/actions/`.
package struct ActionDefinition: Hashable, Sendable {
    /// What a run may change.
    package enum Effect: String, Hashable, Sendable, CaseIterable {
        /// Nothing: a second run has no effect of its own.
        case read
        /// Files of the workspace.
        case write
        /// Something outside the workspace, which cannot be taken back.
        case external
    }

    package enum Handler: Hashable, Sendable {
        /// One sandboxed process: its input on standard input, its result from descriptor 3 when it writes
        /// JSON there, else its standard output, standard error and exit status.
        case command(argv: [String], input: CommandInput)
        /// A terminal agent named by a param, given a prompt from a param, run to its end.
        case agent(definitionParam: String, promptParam: String)
        /// Nothing is run; for measuring the queue itself.
        case none
    }

    /// What a command reads on its standard input.
    package enum CommandInput: Hashable, Sendable {
        /// All params as the JSON they came in.
        case params
        /// The text of one string param.
        case param(String)
    }

    package let name: ActionName
    package let summary: String
    package let params: JSONValue
    package let handler: Handler
    package let effect: Effect
    /// The action's author states that the effect of a run that was cut off may happen again.
    package let isRepeatable: Bool
    package let timeout: Duration
    package let maxAttempts: Int
    package let sandbox: DefinitionName
    /// Names of the workspace's secrets that its program gets as files under `/run/secrets`.
    package let secrets: [DefinitionName]
    /// Exit statuses of a command that say that trying again cannot help.
    package let permanentStatuses: Set<Int>

    package init(
        name: ActionName, summary: String, params: JSONValue, handler: Handler, effect: Effect, timeout: Duration,
        maxAttempts: Int, sandbox: DefinitionName, secrets: [DefinitionName] = [], permanentStatuses: Set<Int> = [],
        isRepeatable: Bool? = nil
    ) {
        self.isRepeatable = isRepeatable ?? Self.isRepeatable(effect, maxAttempts: maxAttempts)
        self.permanentStatuses = permanentStatuses
        self.name = name
        self.summary = summary
        self.params = params
        self.handler = handler
        self.effect = effect
        self.timeout = timeout
        self.maxAttempts = maxAttempts
        self.sandbox = sandbox
        self.secrets = secrets
    }

    /// What holds where the action's file does not say: reading may be repeated, and so may writing whose failures are
    /// tried again.
    package static func isRepeatable(_ effect: Effect, maxAttempts: Int) -> Bool {
        switch effect {
        case .read: true
        case .write: maxAttempts > 1
        case .external: false
        }
    }

    /// Whether a run of the job that may have taken effect may be followed by another one. A submitter can state it for
    /// effects on the workspace's own files, and can always forbid it.
    package func mayRepeat(_ job: Job) -> Bool {
        switch job.isRepeatable {
        case false: false
        case true: self.isRepeatable || self.effect != .external
        case nil: self.isRepeatable
        }
    }
}

/// A program that runs in a terminal: one file under `Policies/agents/`.
package struct AgentDefinition: Hashable, Sendable {
    package let name: DefinitionName
    package let summary: String
    package let argv: [String]
    package let environment: [String: String]
    package let sandbox: DefinitionName
    /// Names of the workspace's secrets that it gets as files under `/run/secrets`.
    package let secrets: [DefinitionName]
    /// Typed after the prompt, each followed by Enter; tells the program that the prompt is over.
    package let closing: [String]
    /// A restart after a crash runs at most this often within `restartPeriod`.
    package let restartIntensity: Int
    package let restartPeriod: Duration
    /// What its screen says of it, the first rule that holds; what it says itself counts more.
    package let screen: [ScreenRule]
    /// Bytes of terminal output that are kept.
    package let logQuota: Int
    /// What happens beyond: the oldest output goes, or else the program is ended.
    package let keepsNewestLog: Bool
    package let directory: Directory

    /// Where in its workspace an agent works.
    package enum Directory: Hashable, Sendable {
        /// In the workspace's own directory, beside all others.
        case shared
        /// In a directory of its own.
        case own
        /// In a work tree of its own of the git repository at this path below the workspace.
        case worktree(repository: String)
    }

    package init(
        name: DefinitionName, summary: String, argv: [String], environment: [String: String], sandbox: DefinitionName,
        secrets: [DefinitionName] = [], closing: [String], restartIntensity: Int, restartPeriod: Duration,
        screen: [ScreenRule] = [], logQuota: Int = 256 * 1024 * 1024, keepsNewestLog: Bool = false,
        directory: Directory = .shared
    ) {
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
