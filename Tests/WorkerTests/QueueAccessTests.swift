import Cryptography
import Jobs
import Logging
import NIOPosix
import Redis
import Synchronization
import Telemetry
import Testing

@Suite("QueueAccess")
struct QueueAccessTests {
    @Test("a second access in a process has the clock and the keys of the first, whatever this machine's clock says")
    func shared() throws {
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let wall = Mutex<UInt64>(5_000_000)
        let node = try QueueAccess(
            redis: RedisConfiguration(url: "redis://127.0.0.1:1"), lanes: 2, limits: QueueLimits(),
            master: try SealingKey(bytes: [UInt8](repeating: 1, count: 32)), role: .node, group: .singleton,
            metrics: MetricsRegistry(), logger: logger, elapsed: { .zero }, wall: { wall.withLock { $0 } })
        let api = try QueueAccess(sharing: node, role: .api, metrics: MetricsRegistry(), logger: logger)
        #expect(api.clock.now() == 5_000_000)
        node.clock.set(1_000)
        wall.withLock { $0 += 300_000 }
        #expect(api.clock.now() == 1_000)
        #expect(api.clock === node.clock && api.keys === node.keys)
        #expect(api.lanes.count == 2 && zip(api.lanes, node.lanes).allSatisfy { $0.commands !== $1.commands })
    }
}
