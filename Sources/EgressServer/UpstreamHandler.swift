internal import Domain
internal import NIOCore
internal import TransportSecurity

/// The connection to a server: gives all that happens to the handler of the caller's connection.
final class UpstreamHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private var tunnel: TunnelHandler?
    /// Whether the handshake has not ended.
    private var awaitsTLS: Bool
    /// Called when the connection ends while no tunnel uses it.
    var whenUnused: (() -> Void)?

    /// Without a tunnel the connection is not in use yet.
    init(_ tunnel: TunnelHandler? = nil, awaitsTLS: Bool = false) {
        self.tunnel = tunnel
        self.awaitsTLS = awaitsTLS
    }

    /// Reports nothing more.
    func detach() { self.tunnel = nil }

    /// Reports to another connection of a caller.
    func attach(_ tunnel: TunnelHandler) { self.tunnel = tunnel }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        // Bytes that no request has asked for: what else comes cannot be trusted.
        guard let tunnel = self.tunnel else { return context.close(promise: nil) }
        tunnel.receivedFromServer(self.unwrapInboundIn(data))
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
        guard let tunnel = self.tunnel else { return context.close(promise: nil) }
        tunnel.serverEnded()
    }

    func channelInactive(context: ChannelHandlerContext) {
        if self.awaitsTLS { self.tunnel?.failedHandshake(isUntrusted: false) } else { self.tunnel?.serverEnded() }
        if self.tunnel == nil { self.whenUnused?() }
        self.whenUnused = nil
        self.tunnel = nil
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if self.awaitsTLS {
            self.tunnel?.failedHandshake(isUntrusted: (error as? TLSError)?.code == .untrustedPeer)
            self.tunnel = nil
        }
        context.close(promise: nil)
    }
}
