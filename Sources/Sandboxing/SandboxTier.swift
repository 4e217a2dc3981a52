/// How strong a sandbox a host can give; what each one leaves open is in the operations guide.
package enum SandboxTier: Int, Hashable, Sendable, Comparable, CaseIterable {
    /// Nothing: no program is run.
    case none = 0
    /// Landlock and a strict filter of system calls, where user namespaces are not to be had.
    case landlock = 1
    /// Namespaces of every kind, a root of its own, the filter, and Landlock as a second lock.
    case namespaces = 2
    /// The same, as a user of the host that no other workspace of this user's nodes has.
    case ownUser = 3
    /// The same, with limits of memory and processes for the whole tree by control groups.
    case limited = 4

    /// Orders tiers from weakest to strongest.
    package static func < (left: SandboxTier, right: SandboxTier) -> Bool { left.rawValue < right.rawValue }

    package var summary: String {
        switch self {
        case .none: "no sandbox"
        case .landlock: "Landlock and a strict system call filter, no namespaces"
        case .namespaces: "own namespaces and root, system call filter, Landlock where the kernel has it"
        case .ownUser: "as tier 2, and a user of the host's own"
        case .limited: "as tier 3, and limits of the whole tree by control groups"
        }
    }
}
