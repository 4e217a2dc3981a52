internal import NIOCore
internal import Synchronization

/// The lines to the node. What is sent before the pipe is open is dropped, and so is a line that the node does not read in
/// time: its event is then not acknowledged, which refuses its request.
final class PipeOutput: Sendable {
    private let channel = Mutex<(any Channel)?>(nil)

    func open(_ channel: any Channel) { self.channel.withLock { $0 = channel } }

    func send(_ line: [UInt8]) {
        self.channel.withLock { $0 }?.writeAndFlush(ByteBuffer(bytes: line), promise: nil)
    }
}
