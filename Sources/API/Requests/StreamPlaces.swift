internal import Domain

/// The streams and messages that are open, by workspace and agent: the pure part of `StreamQuota`.
///
/// Clients that may only watch share half of the streams' places, so that they cannot take the places of those who
/// operate an agent. Messages have places of their own.
struct StreamPlaces {
    /// What a place is taken for.
    enum Kind: Sendable, CaseIterable {
        /// A stream of a client that may not type.
        case watching
        /// A stream of a client that may.
        case operating
        /// A message on its way to the terminal.
        case message
    }

    /// The places of one workspace, or of one agent in it.
    struct Limits: Sendable {
        /// Streams and WebSockets.
        var streams: Int
        /// Messages.
        var messages: Int

        /// How many of the streams may be those of clients that only watch.
        var watching: Int { (self.streams + 1) / 2 }
    }

    private struct Counts {
        var watching = 0
        var operating = 0
        var messages = 0

        var streams: Int { self.watching + self.operating }
        var isEmpty: Bool { self.streams == 0 && self.messages == 0 }

        func hasPlace(for kind: Kind, in limits: Limits) -> Bool {
            switch kind {
            case .watching: self.streams < limits.streams && self.watching < limits.watching
            case .operating: self.streams < limits.streams
            case .message: self.messages < limits.messages
            }
        }

        mutating func add(_ change: Int, to kind: Kind) {
            switch kind {
            case .watching: self.watching += change
            case .operating: self.operating += change
            case .message: self.messages += change
            }
        }
    }

    private var workspaces: [WorkspaceID: Counts] = [:]
    private var agents: [JobID: Counts] = [:]
    private let workspace: Limits
    private let agent: Limits

    init(workspace: Limits, agent: Limits) {
        self.workspace = workspace
        self.agent = agent
    }

    /// Streams that are open.
    var streams: Int { self.workspaces.values.reduce(0) { $0 + $1.streams } }

    /// Takes a place; false when there is none.
    mutating func enter(_ kind: Kind, _ workspace: WorkspaceID, _ agent: JobID) -> Bool {
        guard self.workspaces[workspace, default: Counts()].hasPlace(for: kind, in: self.workspace),
            self.agents[agent, default: Counts()].hasPlace(for: kind, in: self.agent)
        else { return false }
        self.workspaces[workspace, default: Counts()].add(1, to: kind)
        self.agents[agent, default: Counts()].add(1, to: kind)
        return true
    }

    /// Gives a place back that `enter` took.
    mutating func leave(_ kind: Kind, _ workspace: WorkspaceID, _ agent: JobID) {
        self.workspaces[workspace]?.add(-1, to: kind)
        self.agents[agent]?.add(-1, to: kind)
        if self.workspaces[workspace]?.isEmpty == true { self.workspaces[workspace] = nil }
        if self.agents[agent]?.isEmpty == true { self.agents[agent] = nil }
    }
}
