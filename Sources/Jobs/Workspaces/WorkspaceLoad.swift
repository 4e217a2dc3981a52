/// A workspace with limits of its own, and its load.
package struct WorkspaceLoad: Hashable, Sendable {
    package let workspace: String
    package let limits: WorkspaceLimits
    /// Its jobs that run now, on all nodes.
    package let running: Int
}
