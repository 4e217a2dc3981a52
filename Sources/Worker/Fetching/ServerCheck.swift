package import Logging
package import Redis

/// Checks once a minute whether the Redis server is suitable for storing jobs: its version, eviction policy and persistence.
package actor ServerCheck {
    private let client: RedisClient
    private let logger: Logger
    /// The problems found by the last check; empty until a check has succeeded.
    package private(set) var problems: [String] = []

    static let interval = Duration.seconds(60)

    package init(client: RedisClient, logger: Logger) {
        self.client = client
        self.logger = logger
    }

    /// Runs until the task is cancelled. While Redis is unavailable, keeps the last problems.
    package func run(clock: any Clock<Duration>, heartbeat: @Sendable () -> Void) async throws {
        while true {
            heartbeat()
            do {
                let facts = try await RedisServerFacts(of: self.client)
                if facts.problems != self.problems {
                    self.problems = facts.problems
                    for problem in facts.problems {
                        self.logger.error("Redis is not suitable for storing jobs", metadata: ["reason": "\(problem)"])
                    }
                }
            } catch is RedisError {
                // The link child reports the outage; there is nothing to add here.
            }
            try await clock.sleep(for: Self.interval)
        }
    }
}
