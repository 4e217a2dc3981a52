import API
import Foundation
import Logging
import NIOPosix
import Redis
import Synchronization
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

        @Test("as many pass as the limit says, from any number of callers at once", arguments: [1, 100, 1000])
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

        /// A limiter whose Redis has the time that the test gives it, and a way to set that.
        private static func withTime(
            _ body:
                @escaping @Sendable (RateLimiter, @escaping @Sendable (Int) async throws -> Void) async throws -> Void
        ) async throws {
            try await withDirectory { directory in
                try await withRedis(in: directory) { redis in
                    try await withClient(redis.configuration) { client in
                        let local = Mutex(ContinuousClock.now)
                        let start = ContinuousClock.now
                        let limiter = RateLimiter(
                            client: client, prefix: "limit:", clock: { local.withLock { $0 } },
                            redisTime: "tonumber(redis.call('GET', 'time'))")
                        try await body(limiter) { milliseconds in
                            _ = try await client.send(
                                RedisCommand("SET", "time", String(1_790_000_000_000 + milliseconds)))
                            // A node's own clock never goes back.
                            local.withLock { $0 = max($0 + .milliseconds(1), start + .milliseconds(milliseconds)) }
                        }
                    }
                }
            }
        }

        private static func passed(_ count: Int, _ limiter: RateLimiter) async throws -> Int {
            var passed = 0
            for _ in 0..<count
            where try await limiter.take("a", APIConfiguration.Rate(count: 100, period: 60)).isAllowed {
                passed += 1
            }
            return passed
        }

        @Test("no window of a period has more than the limit, however the requests are spread")
        func anyWindow() async throws {
            try await Self.withTime { limiter, set in
                var times: [Int] = []
                // One, then a burst near the end of its period, then more than the rate all the time.
                for (time, count) in [(0, 1), (58_500, 150)] + (0..<400).map({ (58_600 + $0 * 250, 2) }) {
                    try await set(time)
                    times += Array(repeating: time, count: try await Self.passed(count, limiter))
                }
                for start in times {
                    #expect(times.filter { $0 >= start && $0 < start + 60_000 }.count <= 100, "from \(start)")
                }
                // Nor is much less than the limit given: of 158 s with demand all the time two whole limits at least.
                #expect(times.count >= 200)
            }
        }

        @Test("after a period and a sixtieth of silence the whole limit is there again")
        func silence() async throws {
            try await Self.withTime { limiter, set in
                var time = 0
                for burst in [88, 100, 150, 100] {
                    try await set(time)
                    #expect(try await Self.passed(burst, limiter) == min(burst, 100))
                    time += 61_000
                }
            }
        }

        @Test("what a node took and did not use is given back")
        func returned() async throws {
            try await Self.withTime { limiter, set in
                let rate = APIConfiguration.Rate(count: 1000, period: 60)
                try await set(0)
                // Shares of up to ten; the last is used in part.
                for _ in 0..<45 { #expect(try await limiter.take("a", rate).isAllowed) }
                try await set(5000)
                #expect(try await limiter.take("a", rate).remaining == 1000 - 46)
            }
        }

        @Test("a clock of Redis that goes back a little does not open the limit, one that jumps does not close it")
        func clocks() async throws {
            try await Self.withTime { limiter, set in
                try await set(30_000)
                #expect(try await Self.passed(150, limiter) == 100)
                try await set(20_000)
                #expect(try await Self.passed(1, limiter) == 0)
                try await set(10_000_000)
                #expect(try await Self.passed(150, limiter) == 100)
                for _ in 0..<1001 { try await set(0) }
                #expect(try await Self.passed(150, limiter) == 100)
            }
        }
    }
}
