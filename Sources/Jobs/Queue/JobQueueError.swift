package import Domain
internal import Redis

/// A failed call to the queue.
package typealias JobQueueError = CodedError<JobQueueErrorCode>

extension CodedError where ErrorCode == JobQueueErrorCode {
    /// True when the same call may succeed later without a change in this process.
    package var isTransient: Bool { self.code == .unavailable || self.code == .full }

    /// True when no call of this process can succeed.
    package var isPermanent: Bool {
        [.replaced, .nameTaken, .wrongMasterKey, .wrongLanes, .wrongFiles].contains(self.code)
    }

    /// Maps the error of a Redis call to a `JobQueueError`, or to `CancellationError`. Returns other errors unchanged.
    static func from(_ error: any Error) -> any Error {
        guard let error = error as? RedisError else { return error }
        if error.code == .cancelled { return CancellationError() }
        if case .server(let kind) = error.code {
            switch kind {
            case "ORCSTALE":
                return JobQueueError(code: .replaced, message: "a newer process of this node has replaced this one")
            case "ORCGONE":
                return JobQueueError(
                    code: .unknownNode, message: "the node is not registered in this Redis; it must join again")
            case "ORCLATE":
                return JobQueueError(code: .unavailable, message: "the claim arrived after the node had abandoned it")
            case "ORCBUSY":
                return JobQueueError(
                    code: .nameTaken,
                    message: "another machine runs a node with this name; set a unique ORCHESTRA_NODE_NAME")
            case "ORCFILES":
                return JobQueueError(
                    code: .wrongFiles,
                    message:
                        "other nodes of this Redis have another value of ORCHESTRA_WORKSPACES_SHARED; set the same everywhere, or stop all nodes to change it"
                )
            case "OOM":
                return JobQueueError(
                    code: .full, message: "Redis has reached its maxmemory and accepts no new jobs; try again later")
            default: break
            }
        }
        return JobQueueError(code: error.isOutage ? .unavailable : .failed, message: error.description)
    }
}
