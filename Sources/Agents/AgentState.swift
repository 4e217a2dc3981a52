internal import Domain
internal import ShimProtocol

/// What an agent is doing. How it is known: `AgentMachine.evidence`.
package enum AgentState: String, Hashable, Sendable, CaseIterable {
    case starting
    /// The program has shown something and waits for its prompt.
    case ready
    /// The prompt has been typed.
    case busy
    /// It says that it waits for a person.
    case waiting
    /// It says that a service it needs lets it go on later.
    case throttled
    case exited
    case crashed
    /// It failed as often as its definition allows, and is not launched again.
    case quarantined
    /// Its shim does not answer.
    case unknown

    init(_ seen: ScreenRule.State) {
        self =
            switch seen {
            case .ready: .ready
            case .busy: .busy
            case .waiting: .waiting
            case .throttled: .throttled
            }
    }

    /// An agent that was asked to end has not crashed.
    init(of record: ExitRecord) { self = record.isSuccess || record.endedBy == .stop ? .exited : .crashed }
}
