import CLinux
import Glibc
import ShimProtocol
import TestSupport
import Testing

@testable import Shim

@Suite("ListenerHandover")
struct ListenerHandoverTests {
    private static let hello = Array("hello\n".utf8)

    /// A server's socket and what it accepts.
    private static func accept(_ server: Int32) throws -> (connection: Int32, listener: Int32) {
        let connection = orc_accept_same_user(server)
        try #require(connection >= 0)
        guard case .bytes(let bytes, let listener) = POSIX.receive(connection, limit: 64) else {
            throw TestFailure("nothing was handed over")
        }
        #expect(bytes == Self.hello && listener >= 0)
        return (connection, listener)
    }

    @Test("the listener is handed over once there is a server, and again when that was replaced")
    func again() async throws {
        try await withDirectory { directory in
            let path = directory + "/s"
            var handover = ListenerHandover(LaunchSpec.Egress(socket: path, hello: Self.hello))
            #expect(handover.needsListener && handover.wait(1000) == 200)
            handover.turn(0)
            handover.take(orc_listen_loopback(0, 0))
            handover.turn(1000)
            #expect(!handover.needsListener && handover.pollDescriptor == -1)
            let first = unsafe orc_listen_unix(path)
            // Not before it is time to.
            handover.turn(1100)
            #expect(handover.pollDescriptor == -1)
            handover.turn(1200)
            #expect(handover.wait(1000) == 1000 && handover.pollDescriptor >= 0)
            let one = try Self.accept(first)
            #expect(orc_local_port(one.listener) > 0)
            handover.turn(2000)
            #expect(handover.pollDescriptor >= 0)
            for descriptor in [one.connection, one.listener, first] { close(descriptor) }
            _ = unsafe unlink(path)
            handover.turn(3000)
            #expect(handover.pollDescriptor == -1)
            let second = unsafe orc_listen_unix(path)
            handover.turn(3200)
            let two = try Self.accept(second)
            #expect(orc_local_port(two.listener) > 0)
            handover.end()
            guard case .end = POSIX.receive(two.connection, limit: 64) else {
                throw TestFailure("the connection outlives the program")
            }
            for descriptor in [two.connection, two.listener, second] { close(descriptor) }
        }
    }

    @Test("a launch without egress has nothing to hand over")
    func none() {
        var handover = ListenerHandover(nil)
        handover.turn(0)
        #expect(!handover.needsListener && handover.pollDescriptor == -1 && handover.wait(1000) == 1000)
    }

    @Test("what the guard passes on reaches the server by way of a program's run")
    func run() async throws {
        try await withDirectory { directory in
            let path = directory + "/s"
            let server = unsafe orc_listen_unix(path)
            let tree = FakeTree()
            var run = ProgramRun(
                tree: tree, isTerminal: true, stopGrace: 1,
                egress: LaunchSpec.Egress(socket: path, hello: Self.hello))
            run.handOver(at: 1)
            tree.passed = [orc_listen_loopback(0, 0)]
            run.handOver(at: 2)
            let received = try Self.accept(server)
            for descriptor in [received.connection, received.listener, server] { close(descriptor) }
        }
    }
}
