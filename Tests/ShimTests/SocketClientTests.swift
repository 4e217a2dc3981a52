import Glibc
import ShimProtocol
import Testing

@testable import Shim

@Suite("SocketClient")
struct SocketClientTests {
    @Test("frames are received whole, however their bytes come")
    func frames() throws {
        let pair = try SocketPair()
        var client = SocketClient(fd: pair.shim, since: 0)
        let bytes = ShimFrame.stop.encoded + ShimFrame.watch(offset: 7).encoded
        pair.send(Array(bytes.prefix(7)))
        #expect(client.receive() == [.stop])
        pair.send(Array(bytes.dropFirst(7)))
        #expect(client.receive() == [.watch(offset: 7)])
        close(pair.shim)
    }

    @Test("a malformed frame is refused with its reason, and the connection ends")
    func malformed() throws {
        let pair = try SocketPair()
        var client = SocketClient(fd: pair.shim, since: 0)
        pair.send([0, 0, 0, 1, 200])
        #expect(client.receive().isEmpty && client.isGone)
        guard case .refused? = try pair.frames().first else {
            Issue.record("no refusal")
            return
        }
        close(pair.shim)
    }

    @Test("frames before a malformed one are served")
    func before() throws {
        let pair = try SocketPair()
        var client = SocketClient(fd: pair.shim, since: 0)
        pair.send(ShimFrame.stop.encoded + [0, 0, 0, 1, 200])
        #expect(client.receive() == [.stop] && client.isGone)
        close(pair.shim)
    }

    @Test("a client that hangs up is gone, and what it sent before is received")
    func hangUp() throws {
        let pair = try SocketPair()
        var client = SocketClient(fd: pair.shim, since: 0)
        pair.send(.stop)
        pair.hangUp()
        #expect(client.receive() == [.stop] && client.isGone)
        close(pair.shim)
    }

    @Test("what a slow reader does not take waits, and too much of it ends the connection")
    func slowReader() throws {
        let pair = try SocketPair()
        var client = SocketClient(fd: pair.shim, since: 0)
        let frame = ShimFrame.output(offset: 0, bytes: [UInt8](repeating: 1, count: 200_000))
        while !client.isGone {
            client.send(frame)
            client.flush()
        }
        #expect(client.outbound.count <= SocketClient.outboundLimit * 4 && client.wantsToWrite)
        close(pair.shim)
    }

    @Test("what waited is written when the reader reads")
    func flushed() throws {
        let pair = try SocketPair()
        var client = SocketClient(fd: pair.shim, since: 0)
        client.send(.written(id: 1))
        #expect(client.wantsToWrite)
        client.flush()
        #expect(!client.wantsToWrite)
        #expect(try pair.frames() == [.written(id: 1)])
        close(pair.shim)
    }
}
