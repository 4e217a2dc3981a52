internal import NIOCore
internal import TransportSecurity

/// The connection to a server: gives all that happens to the handler of the caller's connection.
final class UpstreamHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private var tunnel: TunnelHandler?
    /// Whether the handshake has not ended.
    private var awaitsTLS: Bool

    init(_ tunnel: TunnelHandler, awaitsTLS: Bool) {
        self.tunnel = tunnel
        self.awaitsTLS = awaitsTLS
    }

    /// Reports nothing more.
    func detach() { self.tunnel = nil }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        self.tunnel?.receivedFromServer(self.unwrapInboundIn(data))
    }

    func channelReadComplete(context: ChannelHandlerContext) { self.tunnel?.serverReadComplete() }

    func channelWritabilityChanged(context: ChannelHandlerContext) { self.tunnel?.updateReads() }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is TLSHandshakeCompleted {
            self.awaitsTLS = false
            self.tunnel?.connected()
            return
        }
        guard case .inputClosed? = event as? ChannelEvent else { return context.fireUserInboundEventTriggered(event) }
        self.tunnel?.serverEnded()
    }

    func channelInactive(context: ChannelHandlerContext) {
        if self.awaitsTLS { self.tunnel?.failedHandshake() } else { self.tunnel?.serverEnded() }
        self.tunnel = nil
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if self.awaitsTLS {
            self.tunnel?.failedHandshake()
            self.tunnel = nil
        }
        context.close(promise: nil)
    }
}
