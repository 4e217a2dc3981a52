/// Where a workspace's jobs run. The home of a workspace is the node whose disk holds its files.
package enum HomePolicy: Hashable, Sendable {
    /// All nodes have the same files, so workspaces have no homes and any node runs their jobs.
    case shared
    /// Jobs run on the home of their workspace. While it is away they wait, until it is back or a person sets another home.
    case wait
    /// As `wait`; a workspace with work whose home has been away for the time gets the next node that claims as its home, and
    /// starts there without its files.
    case move(after: Duration)

    /// Whether workspaces have homes.
    var hasHomes: Bool { self != .shared }

    /// How long a home may be away in milliseconds; nil for any time.
    var timeout: Int64? {
        guard case .move(let time) = self else { return nil }
        return time.milliseconds
    }
}
