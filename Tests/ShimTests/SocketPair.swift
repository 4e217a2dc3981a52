import Glibc
import ShimProtocol
import Testing

@testable import Shim

/// Two ends of a connection: one for the shim, one for a test that plays its client.
final class SocketPair {
    let shim: Int32
    private let client: Int32
    private var pending: [UInt8] = []

    init() throws {
        var ends: [Int32] = [0, 0]
        let result = unsafe socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0, &ends)
        try #require(result == 0)
        (self.shim, self.client) = (ends[0], ends[1])
    }

    deinit { close(self.client) }

    func send(_ bytes: [UInt8]) { _ = POSIX.writeAll(self.client, bytes) }

    func send(_ frames: ShimFrame...) { for frame in frames { self.send(frame.encoded) } }

    /// The frames that have arrived.
    func frames() throws -> [ShimFrame] {
        while case .bytes(let bytes) = POSIX.read(self.client) { self.pending += bytes }
        var frames: [ShimFrame] = []
        while let frame = try ShimFrame.next(from: &self.pending) { frames.append(frame) }
        return frames
    }

    /// True once the shim has closed its end.
    var isClosed: Bool {
        if case .end = POSIX.read(self.client) { true } else { false }
    }

    func hangUp() { _ = shutdown(self.client, Int32(SHUT_RDWR)) }
}
