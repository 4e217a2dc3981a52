/// Why a sandbox could not be planned.
package struct SandboxError: Error, Hashable, CustomStringConvertible {
    package let message: String
    /// True when this node lacks something that another one may have, or that it may have again later.
    package let isHostFault: Bool

    package init(message: String, isHostFault: Bool = false) {
        self.message = message
        self.isHostFault = isHostFault
    }

    package var description: String { self.message }
}
