package import Agents
package import Domain

/// Copies of workspaces' files, kept where other nodes find them.
package protocol WorkspaceCopies: Sendable {
    /// Brings the files of the last copy to this node, when another node made it and this one has not taken it yet. Throws an
    /// `AgentError` with the code `hostUnavailable` when that fails: the workspace must not begin here without them, and the
    /// next call tries again.
    func take(_ workspace: WorkspaceID) async throws(AgentError)

    /// Replaces the copy of a workspace by one of the files as they are now, where this node is its home. Throws when that
    /// fails; the earlier copy stays then.
    func make(_ workspace: WorkspaceID) async throws
}
