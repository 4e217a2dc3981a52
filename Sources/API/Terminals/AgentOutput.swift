/// A part of an agent's output as it is shown.
struct AgentOutput: Sendable {
    /// The byte of the log at which it begins.
    let offset: UInt64
    /// The byte of the log from which on the next part is read.
    let next: UInt64
    /// What is shown. Markers have other lengths than the secrets that they replace.
    let bytes: [UInt8]
}
