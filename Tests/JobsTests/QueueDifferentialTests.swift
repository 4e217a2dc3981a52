import Domain
import Foundation
import Redis
import TestSupport
import Testing

@testable import Jobs
@testable import JobsModel

/// Sends the same random calls to the functions in Redis and to `QueueMachine`, and compares every reply and the state at
/// the end. What the simulator shows about the machine therefore holds for Redis.
@Suite("The queue's model", .enabled(if: isInstalled("redis-server"), "needs redis-server"))
struct QueueDifferentialTests {
    /// Runs one random sequence after the other on one Redis; each begins with an empty queue.
    @Test(
        "the functions in Redis and the machine in memory give the same replies",
        arguments: [HomePolicy.shared, .wait, .move(after: .zero), .move(after: .seconds(20))])
    func sameAnswers(homes: HomePolicy) async throws {
        let environment = ProcessInfo.processInfo.environment
        let replayed = environment["ORCHESTRA_TEST_SEED"].flatMap { UInt64($0) }
        let seeds = replayed.map { $0...$0 } ?? 1...(homes == .shared ? 40 : 25)
        let limits = QueueLimits(retention: .seconds(30 * 86_400), streamLength: 12, homes: homes)
        try await QueueBench.with(.redis, limits: limits) { bench in
            let client = try #require(bench.client)
            for seed in seeds {
                _ = try await client.send(RedisCommand("FLUSHALL"))
                var pair = QueuePair(bench: bench, limits: limits, client: client, seed: seed)
                do {
                    try await pair.run(steps: 250)
                } catch {
                    let lines = pair.history.suffix(60).joined(separator: "\n")
                    Issue.record("seed \(seed) (set ORCHESTRA_TEST_SEED to replay it): \(error)\n\(lines)")
                    return
                }
            }
        }
    }
}
