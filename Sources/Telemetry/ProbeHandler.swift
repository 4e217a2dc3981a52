internal import NIOCore
internal import NIOHTTP1

/// Answers the requests of one connection; the HTTP pipeline passes them on one at a time.
final class ProbeHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let answer: @concurrent @Sendable (HTTPRequestHead) async -> ProbeResponse

    init(answer: @escaping @concurrent @Sendable (HTTPRequestHead) async -> ProbeResponse) {
        self.answer = answer
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .head(let head) = self.unwrapInboundIn(data) else { return }
        Self.answer(head, on: context.channel, with: self.answer)
    }

    private static func answer(
        _ head: HTTPRequestHead, on channel: any Channel,
        with answer: @escaping @concurrent @Sendable (HTTPRequestHead) async -> ProbeResponse
    ) {
        channel.eventLoop.makeFutureWithTask { await answer(head) }
            .whenSuccess { Self.respond(on: channel, to: head, $0) }
    }

    private static func respond(
        on channel: any Channel, to head: HTTPRequestHead, _ response: ProbeResponse
    ) {
        var headers = HTTPHeaders([
            ("content-type", response.type), ("content-length", String(response.body.utf8.count)),
            ("cache-control", "no-store"),
        ])
        if !head.isKeepAlive { headers.add(name: "connection", value: "close") }
        channel.write(
            HTTPServerResponsePart.head(HTTPResponseHead(version: .http1_1, status: response.status, headers: headers)),
            promise: nil)
        if head.method != .HEAD {
            channel.write(HTTPServerResponsePart.body(.byteBuffer(ByteBuffer(string: response.body))), promise: nil)
        }
        channel.writeAndFlush(HTTPServerResponsePart.end(nil)).whenComplete { _ in
            if !head.isKeepAlive { channel.close(promise: nil) }
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is IdleStateHandler.IdleStateEvent { context.close(promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
