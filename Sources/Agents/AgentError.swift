package import Domain

/// An agent or a command could not be run, or failed.
package typealias AgentError = CodedError<AgentErrorCode>

package enum AgentErrorCode: Hashable, Sendable {
    /// Its directory, terminal or sandbox could not be set up; the program never ran.
    case launchFailed
    /// The program ended by itself other than with status 0.
    case failed
    /// The program, or its shim without an exit record, was ended from outside; how far it came is unknown.
    case crashed
    /// Its processes could not be proved gone; nothing may be launched next to them.
    case notGone
    /// Another node owns it now.
    case replaced
}
