/// Whether a definition of an agent was tried with its program.
package enum AgentVerification: Hashable, Sendable {
    /// Its file says nothing about it.
    case unstated
    /// It was written from the program's documentation, and nobody has run it.
    case unverified
    /// It was tried with these versions of the program, from the oldest to the newest.
    case verified(ClosedRange<ProgramVersion>)
}
