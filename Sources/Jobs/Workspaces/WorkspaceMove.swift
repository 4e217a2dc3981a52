package import Domain

/// A workspace that began on another node without the files that it has there.
package struct WorkspaceMove: Hashable, Sendable {
    package let workspace: WorkspaceID
    /// The node that has its files.
    package let origin: String
}
