/// An agent that was given up on, with what it showed last.
package struct AgentFailure: Error, Sendable, CustomStringConvertible {
    package let message: String
    package let tail: [UInt8]
    /// Its last launch was ended from outside.
    package let isCutOff: Bool

    package var description: String { self.message }
}
