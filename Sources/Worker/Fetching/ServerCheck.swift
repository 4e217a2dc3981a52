package import Logging
package import Redis

/// Looks now and then whether this Redis may hold jobs: its version, eviction, persistence.
package actor ServerCheck {
    private let client: RedisClient
    private let logger: Logger
    /// What is wrong with it; nothing as long as nobody could ask.
    package private(set) var problems: [String] = []

    static let interval = Duration.seconds(60)

    package init(client: RedisClient, logger: Logger) {
        self.client = client
        self.logger = logger
    }

    package func run(clock: any Clock<Duration>, heartbeat: @Sendable () -> Void) async throws {
        while true {
            heartbeat()
            do {
                let facts = try await RedisServerFacts(of: self.client)
                if facts.problems != self.problems {
                    self.problems = facts.problems
                    for problem in facts.problems {
                        self.logger.error("Redis is not fit to hold jobs", metadata: ["reason": "\(problem)"])
                    }
                }
            } catch is RedisError {
                // The link says that Redis is away; nothing more is known here.
            }
            try await clock.sleep(for: Self.interval)
        }
    }
}
