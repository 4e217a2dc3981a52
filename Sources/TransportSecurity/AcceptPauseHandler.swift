internal import Glibc
package import NIOCore

/// Pauses a listening channel for a second when a connection cannot be accepted for want of descriptors or memory.
///
/// The connection stays in the kernel's queue, so that the channel is readable again at once: it would use a whole core to
/// fail. NIO's `AcceptBackoffHandler` delays the next read only, while the failed one is still pending. Such an error goes
/// no further, because it would end an asynchronous channel; others do.
package final class AcceptPauseHandler: ChannelInboundHandler {
    /// A connection that was accepted.
    package typealias InboundIn = any Channel

    private static let pause = TimeAmount.seconds(1)
    private static let shortages: Set<CInt> = [EMFILE, ENFILE, ENOBUFS, ENOMEM]

    /// Begins accepting.
    package init() {}

    /// Pauses for one of the errors named above; passes others on.
    package func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let shortage = error as? IOError, Self.shortages.contains(shortage.errnoCode) else {
            return context.fireErrorCaught(error)
        }
        let channel = context.channel
        _ = channel.setOption(.autoRead, value: false)
        channel.eventLoop.scheduleTask(in: Self.pause) { _ = channel.setOption(.autoRead, value: true) }
    }
}
