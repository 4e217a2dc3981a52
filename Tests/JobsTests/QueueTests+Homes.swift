import Domain
import Redis
import TestSupport
import Testing

@testable import Jobs

/// What the comparison with the model does not cover: nodes with other settings, other builds, and cost.
extension QueueTests {
    private static let homes = QueueLimits(homes: .move(after: .seconds(600)))

    @Test("nodes that are there agree on whether all have the same files; alone, a node may change it")
    func agreesOnFiles() async throws {
        try await Self.withBench(limits: Self.homes) { bench in
            let shared = RedisStreamJobQueue(client: bench.client, limits: QueueLimits())
            let first = try bench.lease("n1", 1)
            let restarted = NodeLease(queue: shared, identity: try bench.lease("n1", 2).identity)
            let second = NodeLease(queue: shared, identity: try bench.lease("n2", 1).identity)
            _ = try await first.join()
            for _ in 0..<2 { _ = try await bench.submit(try await bench.submission()) }
            #expect(try await first.claim(ClaimRequest(most: 1)).deliveries.count == 1)
            let error = await #expect(throws: JobQueueError.self) { _ = try await second.join() }
            #expect(error?.code == .wrongFiles && error?.isPermanent == true)
            #expect(try await restarted.join().count == 1)
            #expect(try await shared.homes().isEmpty)
            _ = try await second.join()
            #expect(try await second.claim(ClaimRequest(most: 5)).deliveries.count == 1)
        }
    }

    @Test("a workspace that an earlier build put into the common queue goes to its home")
    func commonQueue() async throws {
        try await Self.withBench(limits: Self.homes) { bench in
            let (first, second) = (try bench.lease("n1", 1), try bench.lease("n2", 1))
            for node in [first, second] { _ = try await node.join() }
            _ = try await bench.submit(try await bench.submission())
            #expect(try await first.claim(ClaimRequest(most: 5)).deliveries.count == 1)
            _ = try await bench.submit(try await bench.submission())
            #expect(try await bench.client.send(RedisCommand("ZREM", "orc:{l0}:ready:n1", "acme")).integer == 1)
            _ = try await bench.client.send(RedisCommand("ZADD", "orc:{l0}:ready", "1", "acme"))
            #expect(try await second.claim(ClaimRequest(most: 5)).deliveries.isEmpty)
            #expect(try await first.claim(ClaimRequest(most: 5)).deliveries.count == 1)
        }
    }

    @Test("a node that is there, or not away for long enough, stays a home, whatever another writer says of it")
    func falseAbsence() async throws {
        try await QueueBench.with(.redis, limits: Self.homes) { bench in
            let client = try #require(bench.client)
            let (acme, other) = (try WorkspaceID("acme"), try WorkspaceID("other"))
            let lease = try bench.lease("n1", 1)
            _ = try await lease.join()
            _ = try await bench.queue.setHome(lease.identity.node, of: acme, auditEvent: [])
            _ = try await bench.queue.setHome(try NodeID("n9"), of: other, auditEvent: [])
            try await bench.accept(try bench.submission())
            try await bench.accept(try bench.submission("other"))
            // A workspace with another home stands in the queue of the node that is away.
            _ = try await client.send(RedisCommand("ZADD", "orc:{l0}:ready:n9", "1", "acme"))
            for node in ["n1", "n9"] {
                _ = try await client.send(RedisCommand("ZADD", "orc:{l0}:stranded", "0", node))
            }
            func homes() async throws -> [String] {
                try await bench.queue.homes().filter(\.isHome).map { "\($0.workspace) \($0.node)" }
            }
            _ = try await bench.queue.moveDue(most: 9)
            #expect(try await homes() == ["acme n1", "other n9"])
            try await bench.advance(.seconds(599))
            _ = try await bench.queue.moveDue(most: 9)
            #expect(try await homes() == ["acme n1", "other n9"])
            try await bench.advance(.seconds(1))
            _ = try await bench.queue.moveDue(most: 9)
            #expect(try await homes() == ["acme n1"])
            #expect(try await bench.queue.statistics().stranded == 0)
        }
    }

    @Test("a workspace that another writer put into the queue of a node goes to its home, or to any without one")
    func wrongQueue() async throws {
        try await Self.withBench(limits: Self.homes) { bench in
            let (first, second) = (try bench.lease("n1", 1), try bench.lease("n2", 1))
            for node in [first, second] { _ = try await node.join() }
            _ = try await bench.queue.setHome(first.identity.node, of: try WorkspaceID("acme"), auditEvent: [])
            for (workspace, queue) in [("acme", "ready:n1"), ("other", "ready")] {
                _ = try await bench.submit(try await bench.submission(workspace))
                #expect(try await bench.client.send(RedisCommand("ZREM", "orc:{l0}:\(queue)", workspace)).integer == 1)
                _ = try await bench.client.send(RedisCommand("ZADD", "orc:{l0}:ready:n2", "1", workspace))
            }
            let claim = try await second.claim(ClaimRequest(most: 5))
            #expect(claim.deliveries.isEmpty && claim.hasMore)
            #expect(try await first.claim(ClaimRequest(most: 5)).deliveries.count == 2)
        }
    }

    @Test("where all nodes have the same files no home is set or ended, and one that was set before is gone")
    func noHomesOfSharedFiles() async throws {
        for implementation in Implementation.allCases {
            try await QueueBench.with(implementation, limits: QueueLimits(homes: .shared)) { bench in
                let (acme, lease) = (try WorkspaceID("acme"), try bench.lease("n1", 1))
                _ = try await bench.queue.setHome(try NodeID("n9"), of: acme, auditEvent: [])
                try await bench.accept(try bench.submission())
                _ = try await lease.join()
                #expect(try await bench.queue.homes().isEmpty)
                #expect(try await lease.claim(ClaimRequest(most: 5)).deliveries.count == 1)
                for node in [try NodeID("n1"), nil] {
                    let error = await #expect(throws: JobQueueError.self) {
                        _ = try await bench.queue.setHome(node, of: acme, auditEvent: [])
                    }
                    #expect(error?.code == .wrongFiles)
                }
                #expect(try await bench.queue.homes().isEmpty)
            }
        }
    }

    @Test("a node that stood still while others changed whether all have the same files claims nothing any more")
    func filesChangedMeanwhile() async throws {
        try await QueueBench.with(.redis, limits: Self.homes) { bench in
            let shared = RedisStreamJobQueue(
                client: try #require(bench.client), limits: QueueLimits(), functions: QueueBench.functions)
            let first = try bench.lease("n1", 1)
            _ = try await first.join()
            try await bench.advance(.seconds(3600))
            _ = try await shared.join(as: try bench.lease("n2", 1).identity)
            try await bench.accept(try bench.submission())
            let error = await #expect(throws: JobQueueError.self) { _ = try await first.claim(ClaimRequest(most: 5)) }
            #expect(error?.code == .wrongFiles)
            #expect(try await bench.queue.homes().isEmpty)
        }
    }

    @Test("the age of the oldest entry costs as much however many ready queues there are")
    func costOfStatistics() async throws {
        try await Self.withBench(limits: Self.homes) { bench in
            for number in 0..<200 {
                let workspace = try WorkspaceID("w\(number)")
                _ = try await bench.queue.setHome(try NodeID("n\(number % 5)"), of: workspace, auditEvent: [])
                _ = try await bench.submit(try await bench.submission(workspace.name))
            }
            _ = try await bench.client.send(RedisCommand("CONFIG", "RESETSTAT"))
            #expect(try await bench.queue.statistics().stranded == 200)
            let text = try await bench.client.send(RedisCommand("INFO", "commandstats")).string ?? ""
            // 12 workspaces of each of the five queues.
            #expect(text.contains("cmdstat_xrange:calls=60,"), "\(text)")
        }
    }

    @Test("a claim takes as many steps however many workspaces with work belong to other nodes")
    func costOfOthers() async throws {
        try await Self.withBench(limits: Self.homes) { bench in
            let (first, second) = (try bench.lease("n1", 1), try bench.lease("n2", 1))
            for node in [first, second] { _ = try await node.join() }
            func steps() async throws -> Int {
                _ = try await bench.client.send(RedisCommand("CONFIG", "RESETSTAT"))
                let claim = try await second.claim(ClaimRequest(most: 5))
                #expect(claim.deliveries.isEmpty && !claim.hasMore)
                let text = try await bench.client.send(RedisCommand("INFO", "commandstats")).string ?? ""
                return text.matches(of: /calls=(\d+)/).compactMap { Int($0.output.1) }.reduce(0, +)
            }
            let before = try await steps()
            for number in 0..<300 {
                let workspace = try WorkspaceID("w\(number)")
                _ = try await bench.queue.setHome(first.identity.node, of: workspace, auditEvent: [])
                _ = try await bench.submit(try await bench.submission(workspace.name))
            }
            #expect(try await steps() == before)
        }
    }
}
