/// An agent that was ended because its task was canceled.
package struct AgentInterruption: Error, Hashable, Sendable {
    /// The last bytes of its terminal.
    package let tail: [UInt8]
}
