internal import NIOCore
internal import NIOHTTP1

/// Reads the requests of one connection and sends the model's replies; the HTTP pipeline passes the requests on one at a
/// time.
final class ScriptedModelHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let model: ScriptedModel
    private var head: HTTPRequestHead?
    private var body: [UInt8] = []

    init(model: ScriptedModel) { self.model = model }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch self.unwrapInboundIn(data) {
        case .head(let head):
            self.head = head
            self.body = []
        case .body(let part):
            guard self.body.count + part.readableBytes <= ScriptedModel.bodyLimit else {
                return context.close(promise: nil)
            }
            self.body += part.readableBytesView
        case .end:
            guard let head = self.head else { return }
            self.head = nil
            let reply = self.model.reply(to: Self.read(head), body: self.body)
            self.body = []
            Self.send(
                reply, pause: TimeAmount(self.model.pause), isKeepAlive: head.isKeepAlive, on: context.channel)
        }
    }

    private static func read(_ head: HTTPRequestHead) -> ScriptedModel.Head {
        let bearers = head.headers["authorization"].map { value in
            let parts = value.split(separator: " ", maxSplits: 1)
            // A key of another scheme is a wrong one.
            return parts.count == 2 && parts[0].lowercased() == "bearer" ? String(parts[1]) : ""
        }
        return ScriptedModel.Head(
            method: head.method.rawValue, path: String(head.uri.prefix { $0 != "?" }),
            keys: head.headers["x-api-key"] + bearers, isAnthropic: head.headers.contains(name: "anthropic-version"))
    }

    private static func send(
        _ reply: ScriptedReply, pause: TimeAmount, isKeepAlive: Bool, on channel: any Channel
    ) {
        let count =
            switch reply.interruption {
            case nil: reply.parts.count
            case .cut(let count), .pause(let count): count
            }
        let (first, rest) = (Array(reply.parts.prefix(count)), Array(reply.parts.dropFirst(count)))
        if case .cut(after: 0)? = reply.interruption { return channel.close(promise: nil) }
        let head = HTTPResponseHead(
            version: .http1_1, status: HTTPResponseStatus(statusCode: reply.status),
            headers: HTTPHeaders(reply.headers.map { ($0.name, $0.value) }))
        channel.write(HTTPServerResponsePart.head(head), promise: nil)
        let sent = Self.write(first, on: channel)
        switch reply.interruption {
        case nil: Self.end(isKeepAlive: isKeepAlive, on: channel)
        // What was sent arrives; the end of the answer does not.
        case .cut: sent.whenComplete { _ in channel.close(promise: nil) }
        case .pause:
            channel.eventLoop.scheduleTask(in: pause) {
                _ = Self.write(rest, on: channel)
                Self.end(isKeepAlive: isKeepAlive, on: channel)
            }
        }
    }

    /// Sends the parts. The result succeeds once the last one is with the kernel.
    private static func write(_ parts: [String], on channel: any Channel) -> EventLoopFuture<Void> {
        guard let last = parts.last else {
            channel.flush()
            return channel.eventLoop.makeSucceededVoidFuture()
        }
        for part in parts.dropLast() { channel.write(self.body(part), promise: nil) }
        return channel.writeAndFlush(self.body(last))
    }

    private static func body(_ part: String) -> HTTPServerResponsePart {
        .body(.byteBuffer(ByteBuffer(string: part)))
    }

    private static func end(isKeepAlive: Bool, on channel: any Channel) {
        channel.writeAndFlush(HTTPServerResponsePart.end(nil)).whenComplete { _ in
            if !isKeepAlive { channel.close(promise: nil) }
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
