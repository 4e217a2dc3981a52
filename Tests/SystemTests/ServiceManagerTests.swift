import Foundation
import TestSupport
import Testing

/// A real node that a stand-in for systemd listens to.
@Suite("A node under a service manager", .serialized, .enabled(if: !isRoot, "the node refuses to run as root"))
struct ServiceManagerTests {
    @Test("it reports that it is ready, lives, lost and found Redis, and stops")
    func reports() async throws {
        try await Installation.with { installation in
            let path = installation.directory + "/notify"
            let manager = try DatagramSocket(path: path)
            let node = installation.node(
                "n1", change: ["NOTIFY_SOCKET": path, "WATCHDOG_USEC": "600000", "ORCHESTRA_WORKER_GRACE": "5"])
            try await installation.start(node)
            try await Self.receives(manager, "READY=1")
            try await Self.receives(manager, "STATUS=ready")
            for _ in 0..<3 { try await Self.receives(manager, "WATCHDOG=1") }
            await installation.redis.process.kill9()
            try await Self.receives(manager, "STATUS=not ready: redis")
            // Redis is not the node's life.
            try await Self.receives(manager, "WATCHDOG=1")
            try await installation.redis.start()
            try await Self.receives(manager, "STATUS=ready")
            await node.signal(SIGTERM)
            try await Self.receives(manager, "STOPPING=1")
            #expect(try await node.wait().code == 0)
        }
    }

    private static func receives(_ manager: DatagramSocket, _ line: String) async throws {
        try await eventually("the manager receives \(line)") { manager.takes(line) }
    }
}
