package import Redis

/// One lane of the queue with the connections that lead to it.
package struct QueueLane: Sendable {
    package let lane: Lane
    /// Carries the calls that are answered at once.
    package let commands: RedisClient
    /// Carries the calls that wait in Redis; the same as `commands` for a process that has none.
    package let blocking: RedisClient
    package let queue: RedisStreamJobQueue

    /// The clients, each once.
    package var clients: [RedisClient] {
        self.commands === self.blocking ? [self.commands] : [self.commands, self.blocking]
    }
}
