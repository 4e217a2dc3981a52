import API
import Foundation
import Logging
import NIOPosix
import Redis
import TestSupport
import Testing

extension APISuites {
    @Suite("Rates over all nodes")
    struct RateLimiterTests {
        /// Limiters as so many nodes have them, on one Redis.
        private static func with(
            nodes: Int, _ body: @escaping @Sendable ([RateLimiter]) async throws -> Void
        ) async throws {
            try await withDirectory { directory in
                try await withRedis(in: directory) { redis in
                    let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
                    let clients = (0..<nodes).map { _ in
                        RedisClient(configuration: redis.configuration, group: .singleton, logger: quiet)
                    }
                    let limiters = clients.map { RateLimiter(client: $0, prefix: "orc:{l0}:limit:") }
                    try await withThrowingTaskGroup(of: Bool.self) { group in
                        for client in clients {
                            group.addTask {
                                await client.run()
                                return false
                            }
                        }
                        group.addTask {
                            try await body(limiters)
                            return true
                        }
                        defer { group.cancelAll() }
                        while let isDone = try await group.next(), !isDone {}
                    }
                }
            }
        }

        @Test("as many pass as the limit says, whoever asks and however many at once", arguments: [1, 100, 1000])
        func exact(limit: Int) async throws {
            try await Self.with(nodes: 3) { limiters in
                let rate = APIConfiguration.Rate(count: limit, period: 3600)
                let passed = try await withThrowingTaskGroup(of: Int.self) { group in
                    for number in 0..<12 {
                        group.addTask {
                            var passed = 0
                            for _ in 0..<(limit / 6 + 5) {
                                if try await limiters[number % 3].take("a", rate).isAllowed { passed += 1 }
                            }
                            return passed
                        }
                    }
                    return try await group.reduce(0, +)
                }
                // What nodes hold at the end, a hundredth each, is what may be missing.
                #expect(passed <= limit && passed >= limit - 3 * max(1, limit / 100) - 2, "\(passed)")
            }
        }

        @Test("a hundred at once on an idle limit of sixty thousand take a hundred")
        func burst() async throws {
            try await Self.with(nodes: 2) { limiters in
                let rate = APIConfiguration.Rate(count: 60_000, period: 60)
                for _ in 0..<3 {
                    try await withThrowingTaskGroup(of: Bool.self) { group in
                        for number in 0..<200 {
                            group.addTask { try await limiters[number % 2].take("a", rate).isAllowed }
                        }
                        for try await isAllowed in group { #expect(isAllowed) }
                    }
                    try await ContinuousClock().sleep(for: .milliseconds(700))
                }
                let verdict = try await limiters[0].take("a", rate)
                #expect(verdict.remaining > 60_000 - 601 - 2 * 600 && verdict.remaining <= 60_000 - 601, "\(verdict)")
                #expect((1...60).contains(verdict.reset))
            }
        }

        @Test("what is refused says when there is room, and there is room then")
        func room() async throws {
            try await Self.with(nodes: 1) { limiters in
                let rate = APIConfiguration.Rate(count: 4, period: 2)
                // On a busy machine the window may slide on meanwhile.
                var verdict = try await limiters[0].take("a", rate)
                for _ in 0..<100 where verdict.isAllowed { verdict = try await limiters[0].take("a", rate) }
                let refused = verdict
                #expect(!refused.isAllowed && refused.remaining == 0 && (1...4).contains(refused.reset))
                #expect(try await limiters[0].take("b", rate).isAllowed, "another name is another limit")
                try await ContinuousClock().sleep(for: .seconds(refused.reset))
                #expect(try await limiters[0].take("a", rate).isAllowed)
            }
        }

        @Test("an address is in a network by its bits, of either version, and a mapped one is what it maps")
        func addresses() throws {
            for (range, address, isIn) in [
                ("10.0.0.0/8", "10.255.0.1", true), ("10.0.0.0/8", "11.0.0.1", false),
                ("10.0.0.0/9", "10.128.0.1", false),
                ("192.0.2.7", "192.0.2.7", true), ("192.0.2.7", "192.0.2.8", false), ("0.0.0.0/0", "203.0.113.9", true),
                ("10.0.0.0/8", "::ffff:10.1.2.3", true), ("2001:db8::/33", "2001:db8:8000::1", false),
                ("2001:db8::/32", "2001:db8:8000::1", true), ("::/0", "10.0.0.1", false), ("::1", "::1", true),
            ] {
                let range = try #require(AddressRange(range))
                #expect(range.contains(try #require(IPAddress(address))) == isIn, "\(address)")
            }
            for text in [
                "", "10.0.0.0/33", "10.0.0/8", "10.0.0.0/", "10.0.0.0/-1", "::/129", "a", "10.0.0.0/8/8", "10.0.0.0/+8",
            ] {
                #expect(AddressRange(text) == nil, "\(text)")
            }
        }
    }
}
