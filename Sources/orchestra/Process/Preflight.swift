import Domain
import Foundation
import Jobs
import NIOPosix
import Redis

/// What must hold before a node starts; each failure is one sentence and a status, and leaves nothing behind.
enum Preflight {
    /// Checks the user, programs, paths and what the settings expose, and that Redis can be reached and is set up to hold
    /// jobs. `checkRedis` is false for a Redis that the node itself starts. Throws `CommandError` and the errors of Redis.
    static func run(_ context: Context, checkRedis: Bool, warn: (String) -> Void) async throws {
        try Host.refuseRoot()
        _ = try context.agents()
        for exposure in try context.exposures() { warn(exposure.warning) }
        guard checkRedis else { return }
        // A Redis that is slow for a moment is asked again; one that cannot be reached, or refuses, is not.
        for _ in 1..<Self.attempts {
            do { return try await self.checkRedis(context, warn: warn) } catch let error where Self.isSlow(error) {}
        }
        try await self.checkRedis(context, warn: warn)
    }

    /// How often Redis is asked at most, each time for as long as a command may take.
    private static let attempts = 5

    /// Whether Redis was reached and did not answer in time.
    static func isSlow(_ error: any Error) -> Bool {
        let cause = (error as? JobQueueError)?.underlying ?? error
        return (cause as? RedisError)?.code == .timeout
    }

    private static func checkRedis(_ context: Context, warn: (String) -> Void) async throws {
        let redis = try context.redis()
        let probe = try await RedisConnection.connect(to: redis, group: .singleton)
        let facts: RedisServerFacts
        do {
            facts = try await RedisServerFacts(of: probe, usesTLS: redis.tls != nil)
        } catch {
            await probe.close()
            throw error
        }
        await probe.close()
        if let problem = facts.problems.first { throw CommandError(.unavailable, problem) }
        try await QueueSession.with(context) { session in try await session.keys.verifyMaster() }
        // Last, so that another attempt does not repeat them.
        for warning in facts.warnings { warn(warning) }
    }

    /// The warning for an allow-list that allows nothing, nil for another.
    static func allowListWarning(_ isEmpty: Bool) -> String? {
        isEmpty
            ? "ALLOW_ACTIONS_DEFAULT is unset or empty, so every action is denied; expected exact names, such as shell.run"
            : nil
    }
}
