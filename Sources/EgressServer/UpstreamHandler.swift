internal import NIOCore

/// The connection to a server: gives all that happens to the handler of the caller's connection.
final class UpstreamHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private var tunnel: TunnelHandler?

    init(_ tunnel: TunnelHandler) { self.tunnel = tunnel }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        self.tunnel?.receivedFromServer(self.unwrapInboundIn(data))
    }

    func channelReadComplete(context: ChannelHandlerContext) { self.tunnel?.serverReadComplete() }

    func channelWritabilityChanged(context: ChannelHandlerContext) { self.tunnel?.updateReads() }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case .inputClosed? = event as? ChannelEvent else { return context.fireUserInboundEventTriggered(event) }
        self.tunnel?.serverEnded()
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.tunnel?.serverEnded()
        self.tunnel = nil
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
