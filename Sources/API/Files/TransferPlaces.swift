internal import Domain
internal import Synchronization

/// The transfers of files that run: one for each workspace, and at most a few for the node.
final class TransferPlaces: Sendable {
    private let workspaces = Mutex<Set<WorkspaceID>>([])
    private let limit: Int

    init(limit: Int) { self.limit = limit }

    /// A place that is given back when its ticket is released; nil when there is none.
    func enter(_ workspace: WorkspaceID) -> StreamTicket? {
        let isTaken = self.workspaces.withLock { $0.count < self.limit && $0.insert(workspace).inserted }
        return isTaken ? StreamTicket { self.leave(workspace) } : nil
    }

    private func leave(_ workspace: WorkspaceID) { _ = self.workspaces.withLock { $0.remove(workspace) } }
}
