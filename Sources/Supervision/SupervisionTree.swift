/// What a supervisor says of a child.
package struct ChildStatus: Hashable, Sendable {
    /// The state of a child.
    package enum State: String, Hashable, Sendable {
        case starting
        case running
        /// It runs, and waits for something outside that is away.
        case waiting
        case restarting
        case stopping
        /// Known, and not running: stopped by call, ended for good, or not to be run.
        case none
        /// It ignored its cancellation past its shutdown time.
        case leaked
    }

    package let reference: ChildReference
    package let type: ChildType
    package let state: State
    package let restarts: Int
    /// Why it ended last; nil when it never has.
    package let lastReason: String?
    /// What it waits for, and why that is away.
    package let dependency: String?
    /// How long it has been running; nil when it is not.
    package let uptime: Duration?

    package var id: String { self.reference.id }
}

/// OTP's `count_children`.
package struct ChildCounts: Hashable, Sendable {
    package let specifications: Int
    package let active: Int
    package let supervisors: Int
    package let workers: Int
}

/// A supervisor and all below it, at about one moment.
package struct SupervisionTree: Hashable, Sendable {
    /// A child and what is below it.
    package struct Branch: Hashable, Sendable {
        package let status: ChildStatus
        /// The tree of a child that is a supervisor, or that runs one.
        package let tree: SupervisionTree?
    }

    package let name: String
    package let strategy: RestartStrategy
    package let intensity: Int
    package let period: Duration
    /// Restarts that count against the intensity now.
    package let recentRestarts: Int
    package let branches: [Branch]

    /// The paths of the leaked children, such as `node/workspaces/acme`.
    package var leaked: [String] {
        self.branches.flatMap { branch in
            let below = (branch.tree?.leaked ?? []).map { $0.drop { $0 != "/" } }
            let path = "\(self.name)/\(branch.status.id)"
            return (branch.status.state == .leaked ? [path] : []) + below.map { path + $0 }
        }
    }
}
