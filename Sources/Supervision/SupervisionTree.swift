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
