/// The definition of an action: one file under `Policies/actions/`.
package struct ActionDefinition: Hashable, Sendable {
    /// What a run may change.
    package enum Effect: String, Hashable, Sendable, CaseIterable {
        /// Nothing. A repeated run has no additional effect.
        case read
        /// Files of the workspace.
        case write
        /// Something outside the workspace, which cannot be undone.
        case external
    }

    /// How an action is carried out.
    package enum Handler: Hashable, Sendable {
        /// One sandboxed process. It reads `input` from standard input. Its result is the JSON that it writes to
        /// descriptor 3, or else its standard output, standard error and exit status.
        case command(argv: [String], input: CommandInput)
        /// An agent in a terminal, run to its end. One param names the agent and another one contains the prompt.
        case agent(definitionParam: String, promptParam: String)
        /// No process. For measuring the queue.
        case none
    }

    /// What a command reads from its standard input.
    package enum CommandInput: Hashable, Sendable {
        /// All params, as the JSON that was submitted.
        case params
        /// The value of one string param.
        case param(String)
    }

    package let name: ActionName
    package let summary: String
    /// The JSON Schema of the params.
    package let params: JSONValue
    package let handler: Handler
    package let effect: Effect
    /// True when the effect of an interrupted run may be repeated.
    package let isRepeatable: Bool
    /// The time limit of one run.
    package let timeout: Duration
    package let maxAttempts: Int
    package let sandbox: DefinitionName
    /// The workspace's secrets that are provided to the program as files under `/run/secrets`.
    package let secrets: [DefinitionName]
    /// The exit statuses of a command after which it is not retried.
    package let permanentStatuses: Set<Int>

    /// Takes the parts as given. When `isRepeatable` is nil, the effect and the number of attempts determine it.
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

    /// The default when the action's file does not specify it: reads are repeatable, and so are writes whose failures are
    /// retried.
    package static func isRepeatable(_ effect: Effect, maxAttempts: Int) -> Bool {
        switch effect {
        case .read: true
        case .write: maxAttempts > 1
        case .external: false
        }
    }

    /// Whether the job may run again after a run that may have taken effect. The submitter can permit it for effects on
    /// the workspace's own files, and can always forbid it.
    package func mayRepeat(_ job: Job) -> Bool {
        switch job.isRepeatable {
        case false: false
        case true: self.mayBeRepeatable
        case nil: self.isRepeatable
        }
    }

    /// Whether a submitter may permit that the effect is repeated.
    package var mayBeRepeatable: Bool { self.isRepeatable || self.effect != .external }
}
