/// What an agent does, and how that is known.
package struct AgentStatus: Hashable, Sendable {
    package let state: AgentState
    package let evidence: String

    /// Takes the parts as given; checks nothing.
    package init(state: AgentState, evidence: String) {
        self.state = state
        self.evidence = evidence
    }
}
