package import Redis

/// One lane of the queue with its connections.
package struct QueueLane: Sendable {
    package let lane: Lane
    /// For calls that are answered at once.
    package let commands: RedisClient
    /// For calls that wait in Redis; the same as `commands` in a process that has no such calls.
    package let blocking: RedisClient
    package let queue: RedisStreamJobQueue

    /// The clients, each once.
    package var clients: [RedisClient] {
        self.commands === self.blocking ? [self.commands] : [self.commands, self.blocking]
    }
}
