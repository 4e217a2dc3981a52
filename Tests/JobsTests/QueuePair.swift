import Domain
import Foundation
import Redis
import TestSupport
import Testing

@testable import Jobs
@testable import JobsModel

/// Both queues, and what the test knows from their replies.
struct QueuePair {
    /// One delivery of both queues; the IDs of their entries differ.
    struct Twins {
        let redis: Delivery
        let model: Delivery
    }

    struct Difference: Error, CustomStringConvertible { let description: String }

    let bench: QueueBench
    let client: RedisClient
    var model: QueueMachine
    var random: SeededRandom
    var history: [String] = []
    var now: UInt64
    var incarnations: [String: UInt64] = [:]
    var known: [(node: NodeIdentity, twins: Twins)] = []
    var jobs: [(WorkspaceID, JobID)] = []
    var nextJob: UInt64 = 0
    /// Jobs that have no record: of before records were kept, and of then.
    var oldJobs: [JobID] = []
    private let hasHomes: Bool

    init(bench: QueueBench, limits: QueueLimits, client: RedisClient, seed: UInt64) {
        self.bench = bench
        self.client = client
        self.hasHomes = limits.homes != .shared
        self.model = QueueMachine(limits: limits)
        self.random = SeededRandom(seed: seed)
        self.now = bench.now
    }

    mutating func run(steps: Int) async throws {
        try await self.bench.advance(.zero)
        self.now = self.bench.now
        self.oldJobs = [self.now - 1, self.now].map { JobID(milliseconds: $0, randomHigh: 1, randomLow: 1) }
        // Records are kept for so long that those of these jobs would have expired.
        for _ in 0..<4 {
            try await self.moveDue()
            try await self.bench.advance(.seconds(12 * 86_400))
            self.now = self.bench.now
        }
        for _ in 0..<steps { try await self.step() }
        try await self.compareRest()
    }

    mutating func step() async throws {
        switch Int.random(in: 0..<100, using: &self.random) {
        case 0..<24: try await self.submit()
        case 24..<44: try await self.claim()
        case 44..<62: try await self.finish()
        case 62..<68: try await self.join()
        case 68..<71: try await self.held()
        case 71..<76: try await self.renewAndRescue()
        case 76..<80: try await self.moveDue()
        case 80..<85: try await self.cancel()
        case 85..<90: try await self.deadLetters()
        case 90..<92: try await self.setLimits()
        case 92..<93: try await self.quarantine()
        case 93..<94 where Bool.random(using: &self.random): try await self.forgeDelayed()
        case 93..<94: try await self.forge()
        case 94..<95: try await self.leave()
        case 95..<96: try await self.progress()
        case 96..<97: try await self.list()
        case 97..<98: try await self.homes()
        case 98..<99 where self.hasHomes: try await self.strand()
        default: try await self.wait()
        }
    }
}
