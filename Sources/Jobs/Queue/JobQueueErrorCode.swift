/// Why a call to the queue failed.
package enum JobQueueErrorCode: Hashable, Sendable {
    /// Redis cannot be reached or is not ready; the same call may succeed later.
    case unavailable
    /// Redis has no memory left for new jobs; running jobs continue.
    case full
    /// A newer process of this node has replaced this one, which must stop and write nothing.
    case replaced
    /// The node is not registered, because Redis was emptied or lost its last writes: join again.
    case unknownNode
    /// Another machine runs a node with this name.
    case nameTaken
    /// This process has another master key than the one that first used this Redis.
    case wrongMasterKey
    /// Other processes divide this queue into another number of lanes.
    case wrongLanes
    /// Nodes of this queue disagree on whether all have the same files.
    case wrongFiles
    /// A sealed entry or result cannot be opened or decoded.
    case unreadable
    /// Redis sent a reply that the queue does not expect.
    case failed
}
