package import Domain

/// A waiting job whose entry Redis lost, or a delayed one that is not among the delayed jobs any more.
package struct LostJob: Hashable, Sendable {
    package let id: JobID
    package let workspace: WorkspaceID
    /// The name of the action; empty when the record has none.
    package let action: String
}
