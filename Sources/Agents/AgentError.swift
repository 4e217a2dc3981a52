package import Domain
package import Sandboxing

/// An agent or a command could not be run, or failed.
package typealias AgentError = CodedError<AgentErrorCode>

/// Why an agent or a command did not run, or failed.
package enum AgentErrorCode: Hashable, Sendable {
    /// Its directory, terminal or sandbox could not be set up, for a reason that lies in the definition, the job or the
    /// workspace; the program never ran.
    case launchFailed
    /// This node could not do its part: no space, no descriptors, no memory, a read-only disk, or no sandbox can be set
    /// up. The program never ran and the job is not at fault: return it to the queue uncounted, and claim nothing until
    /// `LaunchCheck` succeeds. The caller must bound how often one job is returned, because a cause that only looks like
    /// the node's would circulate indefinitely.
    case hostUnavailable
    /// The program ended by itself with a status other than 0.
    case failed
    /// The program, or its shim without an exit record, was ended from outside; how much it had done is unknown.
    case crashed
    /// Its processes could not be proved gone; nothing may be launched next to them.
    case notGone
    /// Another node owns it now.
    case replaced
}

extension CodedError where ErrorCode == AgentErrorCode {
    /// A file of the node's own that cannot be used is the node's fault, never the job's.
    package init(_ error: HostFileError) { self.init(code: .hostUnavailable, message: error.description) }

    /// Has the code `hostUnavailable` for a fault of this node, else `launchFailed`; keeps the message.
    package init(_ error: SandboxError) {
        self.init(code: error.isHostFault ? .hostUnavailable : .launchFailed, message: error.message)
    }
}
