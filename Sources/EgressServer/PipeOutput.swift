internal import NIOCore
internal import Synchronization

/// The lines to the node. What is sent before the pipe is open is dropped, and so is a line while the node does not read:
/// its request is refused then.
final class PipeOutput: Sendable {
    private let channel = Mutex<(any Channel)?>(nil)

    func open(_ channel: any Channel) { self.channel.withLock { $0 = channel } }

    /// Returns whether the line is on its way.
    func send(_ line: [UInt8]) -> Bool {
        guard let channel = self.channel.withLock({ $0 }), channel.isWritable else { return false }
        channel.writeAndFlush(ByteBuffer(bytes: line), promise: nil)
        return true
    }
}
