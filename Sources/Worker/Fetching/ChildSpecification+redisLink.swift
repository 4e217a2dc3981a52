package import Redis
package import Supervision

extension ChildSpecification {
    /// A connection to Redis as a supervised child. While Redis is unavailable the child reports that, and is not restarted.
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
                // The loop of the client waits as long as the connection lasts, so the heartbeat is a response of its
                // actor. Calls have their own deadlines.
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
    /// Why Redis is unavailable; nil while the client is connected.
    fileprivate var outage: String? {
        switch self.state {
        case .connected: nil
        case .connecting(let reason): reason ?? "not connected yet"
        case .stopped: "the connection was closed"
        }
    }
}
