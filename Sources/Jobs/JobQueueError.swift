package import Domain
internal import Redis

/// The queue could not do what was asked.
package typealias JobQueueError = CodedError<JobQueueErrorCode>

package enum JobQueueErrorCode: Hashable, Sendable {
    /// Redis is away or not ready; the same call may succeed later.
    case unavailable
    /// Redis has no memory left for new jobs; running ones go on.
    case full
    /// A newer process of this node took over: this one must stop and write nothing.
    case replaced
    /// This Redis does not know the node, because it was emptied or lost its last writes: join again.
    case unknownNode
    /// Another machine runs a node of this name.
    case nameTaken
    /// This process has another master key than the one that first used this Redis.
    case wrongMasterKey
    /// Others divide this queue into another number of lanes.
    case wrongLanes
    /// A sealed entry or result cannot be opened or decoded.
    case unreadable
    /// Redis answered something that the queue does not expect.
    case failed
}

extension CodedError where ErrorCode == JobQueueErrorCode {
    /// True when the same call may succeed later, without anybody's doing here.
    package var isPassing: Bool { self.code == .unavailable || self.code == .full }

    /// True when this process can never succeed, whatever it tries.
    package var isPermanent: Bool { [.replaced, .nameTaken, .wrongMasterKey, .wrongLanes].contains(self.code) }

    /// Sorts an error of a call into the queue's own; cancellation passes through.
    static func from(_ error: any Error) -> any Error {
        guard let error = error as? RedisError else { return error }
        if error.code == .cancelled { return CancellationError() }
        if case .server(let kind) = error.code {
            switch kind {
            case "ORCSTALE": return JobQueueError(code: .replaced, message: "a newer process of this node took over")
            case "ORCGONE": return JobQueueError(code: .unknownNode, message: "this Redis does not know the node")
            case "ORCLATE":
                return JobQueueError(code: .unavailable, message: "the claim came after it had been given up")
            case "ORCBUSY":
                return JobQueueError(
                    code: .nameTaken,
                    message:
                        "another machine runs a node of this name; expected a name of its own in ORCHESTRA_NODE_NAME")
            case "OOM":
                return JobQueueError(code: .full, message: "Redis has reached its maxmemory and takes no new jobs")
            default: break
            }
        }
        return JobQueueError(code: error.isOutage ? .unavailable : .failed, message: error.description)
    }
}
