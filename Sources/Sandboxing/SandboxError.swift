package import Domain

/// A sandbox could not be planned; nothing was started.
package typealias SandboxError = CodedError<SandboxErrorCode>

/// Why a sandbox could not be planned.
package enum SandboxErrorCode: Hashable, Sendable {
    /// This node lacks something that another one may have, or that it may have again later: a program, a range of users,
    /// a control group, a file that can be used.
    case hostUnavailable
    /// A profile, a path or an argument cannot be used on any node.
    case invalidArgument
}

extension CodedError where ErrorCode == SandboxErrorCode {
    /// Has the code `hostUnavailable` for a fault of this node, else `invalidArgument`.
    package init(message: String, isHostFault: Bool = false) {
        self.init(code: isHostFault ? .hostUnavailable : .invalidArgument, message: message)
    }

    package var isHostFault: Bool { self.code == .hostUnavailable }
}
