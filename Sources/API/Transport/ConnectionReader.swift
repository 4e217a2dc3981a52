internal import NIOCore
internal import NIOHTTP1

/// Rewrites what the client asks of its connection into the one spelling that the handlers behind it know.
final class ConnectionReader: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .head(var head) = self.unwrapInboundIn(data) else { return context.fireChannelRead(data) }
        // A client of a version without interim responses must get none (RFC 9110 §10.1.1).
        if head.version != .http1_1 { head.headers.remove(name: "expect") }
        // After an upgrade or a tunnel that was refused nothing more is read.
        if !head.isKeepAlive || head.headers.contains(name: "upgrade") || head.method == .CONNECT {
            head.headers.replaceOrAdd(name: "Connection", value: "close")
        }
        context.fireChannelRead(self.wrapInboundOut(.head(head)))
    }
}
