package import Redis
package import Supervision

extension ChildSpecification {
    /// A connection to Redis as a supervised child: while Redis is away it is away, too, and not restarted for it.
    package static func redisLink(
        _ id: String, _ client: RedisClient, clock: any Clock<Duration>
    ) -> ChildSpecification {
        ChildSpecification(
            id: id, shutdown: NodeTree.shutdownTimeout, backoff: NodeTree.backoff,
            heartbeatLimit: NodeTree.heartbeatLimit
        ) { child in
            child.ready()
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await client.run() }
                // The client's loop waits for as long as the connection lasts; that its actor answers is its sign
                // of life. Calls have deadlines of their own.
                group.addTask {
                    while true {
                        child.dependencyAway(await client.outage)
                        child.heartbeat()
                        try await clock.sleep(for: .seconds(2))
                    }
                }
                defer { group.cancelAll() }
                try await group.next()
            }
        }
    }
}

extension RedisClient {
    /// Why Redis is away; nil while it is not.
    fileprivate var outage: String? {
        switch self.state {
        case .connected: nil
        case .connecting(let reason): reason ?? "not connected yet"
        case .stopped: "the connection was closed"
        }
    }
}
