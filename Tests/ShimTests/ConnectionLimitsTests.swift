import Testing

@testable import Shim

@Suite("ConnectionLimits")
struct ConnectionLimitsTests {
    private static func clients(_ count: Int, _ role: SocketClient.Role, since: UInt64 = 0) -> [SocketClient] {
        (0..<count).map { number in
            var client = SocketClient(fd: -1, since: since + UInt64(number))
            client.role = role
            return client
        }
    }

    @Test("a connection that does not identify itself is closed after five seconds")
    func timeout() {
        let clients = Self.clients(1, .stranger)
        #expect(ConnectionLimits.expired(clients, at: 5000).isEmpty)
        #expect(ConnectionLimits.expired(clients, at: 5001) == [0])
    }

    @Test("of too many that do not, the oldest are closed at once")
    func surplus() {
        let clients = Self.clients(ConnectionLimits.strangers + 2, .stranger)
        #expect(ConnectionLimits.expired(clients, at: 20) == [0, 1])
    }

    @Test("owners and viewers are never closed for being idle")
    func identified() {
        let clients = Self.clients(1, .owner) + Self.clients(40, .viewer)
        #expect(ConnectionLimits.expired(clients, at: .max).isEmpty)
    }

    @Test("viewers are bounded, and neither owners nor connections that have gone count")
    func viewers() {
        var clients = Self.clients(ConnectionLimits.viewers, .viewer)
        #expect(!ConnectionLimits.hasRoomForViewer(clients))
        clients[3].drop()
        #expect(ConnectionLimits.hasRoomForViewer(clients + Self.clients(1, .owner)))
    }
}
