internal import Jobs
internal import Redis

extension Error {
    /// Whether Redis is unavailable, slow or full: the same request may be sent again.
    var isOutage: Bool {
        switch self {
        case let error as JobQueueError: error.isTransient
        case is RedisError: true
        default: false
        }
    }
}
