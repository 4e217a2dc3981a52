internal import NIOCore

/// Writes the document and closes the connection, at the latest after ten seconds.
final class StatusHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let document: @Sendable () async -> [UInt8]

    private static let limit = TimeAmount.seconds(10)

    init(document: @escaping @Sendable () async -> [UInt8]) { self.document = document }

    func channelActive(context: ChannelHandlerContext) {
        let (channel, document) = (context.channel, self.document)
        channel.eventLoop.scheduleTask(in: Self.limit) { channel.close(promise: nil) }
        channel.eventLoop.makeFutureWithTask { await document() }
            .flatMap { channel.writeAndFlush(ByteBuffer(bytes: $0)) }
            .whenComplete { _ in channel.close(promise: nil) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
