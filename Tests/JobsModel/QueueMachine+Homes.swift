package import Domain
@testable package import Jobs

/// Homes of workspaces.
extension QueueMachine {
    struct Home: Hashable, Sendable {
        /// The node that has the workspace's files.
        let node: String
        /// False when the next node that claims becomes the home.
        var isHome = true
    }

    private static let releasedAtOnce = 256
    private static let nodesReleasedAtOnce = 16

    /// The home of a workspace, nil when it has none.
    package func home(of workspace: WorkspaceID) -> String? {
        guard let home = self.homes[workspace], home.isHome else { return nil }
        return home.node
    }

    /// The workspaces with work that a node may serve, by turn.
    func line(for node: String) -> [WorkspaceID] { self.readyQueue.filter { self.home(of: $0) ?? node == node } }

    /// Makes a node the home of a workspace that has none. Returns the move when the files are on another node.
    mutating func adopt(_ workspace: WorkspaceID, by node: String, at now: UInt64) -> WorkspaceMove? {
        guard self.limits.homes.hasHomes, self.home(of: workspace) == nil else { return nil }
        let files = self.homes[workspace]?.node
        self.homes[workspace] = Home(node: node)
        guard let files, files != node else { return nil }
        self.auditRows.append((workspace, Self.movedEvent(workspace, from: files, to: node, at: now)))
        return WorkspaceMove(workspace: workspace, origin: files)
    }

    private static func movedEvent(
        _ workspace: WorkspaceID, from origin: String, to node: String, at now: UInt64
    ) -> [UInt8] {
        Array(
            (#"{"v":1,"kind":"workspace.moved","time":\#(now),"workspace":"\#(workspace)","actor":"node:\#(node)","#
                + #""action":"","status":"moved","rule":"home","duration_ms":0,"#
                + #""error_reason":"its files are on node \#(origin)","node":"\#(node)"}"#).utf8)
    }

    /// A node that could not launch the job of a workspace, and has no files of it, is not its home any more. Its name is
    /// kept, so that the move to the next home is recorded.
    mutating func leaveHome(of workspace: WorkspaceID, node: String) {
        guard self.home(of: workspace) == node else { return }
        self.homes[workspace]?.isHome = false
        if self.readyQueue.contains(workspace) { self.wakeUps += 1 }
    }

    /// Notes that a node left or was declared dead.
    mutating func noteAway(_ node: String, since time: UInt64) {
        if self.limits.homes.hasHomes { self.away[node] = time }
    }

    /// The nodes that are away and have workspaces with work, the longest away first.
    private var stranded: [(node: String, since: UInt64)] {
        Set(self.readyQueue.compactMap { self.home(of: $0) }).filter { self.nodes[$0] == nil }
            .map { ($0, self.away[$0] ?? 0) }.sorted { ($0.since, $0.node) < ($1.since, $1.node) }
    }

    /// Workspaces with work whose home is away.
    var strandedCount: Int {
        self.readyQueue.count { self.home(of: $0).map { self.nodes[$0] == nil } ?? false }
    }

    /// Ends the homes of workspaces with work whose node has been away for too long.
    mutating func releaseHomes(at now: UInt64) {
        for (node, _) in self.expiredHomes(at: now).prefix(Self.nodesReleasedAtOnce) {
            let workspaces = self.readyQueue.filter { self.home(of: $0) == node }
            for workspace in workspaces.prefix(Self.releasedAtOnce) {
                self.homes[workspace]?.isHome = false
                self.wakeUps += 1
            }
        }
    }

    private func expiredHomes(at now: UInt64) -> [(node: String, since: UInt64)] {
        guard let timeout = self.limits.homes.timeout.map(UInt64.init(clamping:)) else { return [] }
        return self.stranded.filter { $0.since <= now && now - $0.since >= timeout }
    }

    /// Whether `moveDue` would end a home now.
    package func endsHome(at now: UInt64) -> Bool { !self.expiredHomes(at: now).isEmpty }

    /// A node joins: where all have the same files, homes that were set before it end.
    mutating func agreeOnFiles() {
        guard !self.limits.homes.hasHomes, !self.hasSharedFiles else { return }
        self.hasSharedFiles = true
        (self.homes, self.away) = ([:], [:])
    }

    /// Sets or ends a home; see `JobStore.setHome`.
    package mutating func setHome(
        _ node: NodeID?, of workspace: WorkspaceID, auditEvent: [UInt8], at now: UInt64
    ) throws(JobQueueError) -> HomeChange {
        guard !self.hasSharedFiles else {
            throw JobQueueError(code: .wrongFiles, message: "all nodes have the same files")
        }
        let files = self.homes[workspace]?.node ?? ""
        if let node {
            if self.nodes[node.name] == nil { self.away[node.name] = self.away[node.name] ?? now }
            self.homes[workspace] = Home(node: node.name)
        } else {
            guard self.home(of: workspace) != nil else { return .hasNone }
            self.homes[workspace]?.isHome = false
        }
        if self.readyQueue.contains(workspace) { self.wakeUps += 1 }
        self.auditRows.append((workspace, auditEvent))
        return .done(files: files)
    }

    /// The workspaces that have or had a home, by name.
    package var workspaceHomes: [WorkspaceHome] {
        self.homes.map { workspace, home in
            WorkspaceHome(
                workspace: workspace.name, node: home.node, isHome: home.isHome,
                presence: self.nodes[home.node] == nil ? .away(since: self.away[home.node] ?? 0) : .present)
        }.sorted { $0.workspace < $1.workspace }
    }
}
