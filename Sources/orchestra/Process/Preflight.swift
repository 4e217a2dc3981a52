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
        for warning in facts.warnings { warn(warning) }
        try await QueueSession.with(context) { session in try await session.keys.verifyMaster() }
    }

    /// The warning for an allow-list that allows nothing, nil for another.
    static func allowListWarning(_ isEmpty: Bool) -> String? {
        isEmpty
            ? "ALLOW_ACTIONS_DEFAULT is unset or empty, so every action is denied; expected exact names, such as shell.run"
            : nil
    }
}
