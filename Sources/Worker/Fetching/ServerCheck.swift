package import Jobs
package import Logging
package import Redis

/// Checks once a minute whether the Redis server is suitable for storing jobs: its version, eviction policy and persistence.
package actor ServerCheck {
    private let client: RedisClient
    private let queue: RedisStreamJobQueue
    private let logger: Logger
    /// The problems found by the last check; empty until a check has succeeded.
    package private(set) var problems: [String] = []

    static let interval = Duration.seconds(60)
    /// Libraries of other builds are looked for once in so many checks: every hour.
    private static let checksPerCleaning = 60

    /// Takes the parts as given; checks nothing before `run`.
    package init(client: RedisClient, queue: RedisStreamJobQueue, logger: Logger) {
        self.client = client
        self.queue = queue
        self.logger = logger
    }

    /// Runs until the task is cancelled. While Redis is unavailable, keeps the last problems.
    package func run(clock: any Clock<Duration>, heartbeat: @Sendable () -> Void) async throws {
        var checks = 0
        while true {
            heartbeat()
            if checks % Self.checksPerCleaning == 0 { await self.deleteUnusedLibraries() }
            checks += 1
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

    private func deleteUnusedLibraries() async {
        do {
            let deleted = try await self.queue.deleteUnusedLibraries()
            guard !deleted.isEmpty else { return }
            self.logger.info(
                "function libraries of other builds were deleted", metadata: ["libraries": "\(deleted)"])
        } catch {
            // Redis is away, or this user may not; the next check tries again.
            self.logger.debug("function libraries of other builds were not looked for", error: error)
        }
    }
}
