internal import NIOCore
internal import NIOHTTP1
internal import NIOWebSocket

/// Handles the first request of a connection: a request for a WebSocket is decided here, before anything is upgraded, and
/// every other is handed to the router.
///
/// NIO's own upgraders lose a request that they refuse, and after any request with an `Upgrade` the parser stops
/// permanently and keeps the bytes that follow. So a refusal is answered here, and such a connection always ends with
/// its answer.
final class UpgradeGate: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    struct Parts {
        let encoder: HTTPResponseEncoder
        let decoder: ByteToMessageHandler<HTTPRequestDecoder>
        /// The handlers around the decoder, which leave with it.
        let framing: FramingFilter
        /// For the handshake, the first head and the decision together.
        let headTimeout: TimeAmount
        let result: EventLoopPromise<Negotiated>
        /// Decides about a request for a WebSocket.
        let decide: @Sendable (HTTPRequestHead, any Channel) async -> UpgradeVerdict
        let installHTTP: @Sendable (any Channel) throws -> HTTPChannel
        let wrapWebSocket: @Sendable (any Channel) throws -> WebSocketChannel
    }

    private enum State {
        case waiting
        case deciding(hasEnded: Bool)
        /// With the bytes that arrived meanwhile.
        case switching([NIOAny])
        case refused
        case gone
    }

    private let parts: Parts
    private var state = State.waiting
    private var isQuiescing = false
    private var timer: Scheduled<Void>?

    private static let frameLimit = 64 * 1024
    /// How long a refused client may take to read the answer.
    private static let closeGrace = TimeAmount.seconds(2)

    init(_ parts: Parts) { self.parts = parts }

    func handlerAdded(context: ChannelHandlerContext) {
        self.timer = context.eventLoop.assumeIsolated().scheduleTask(in: self.parts.headTimeout) {
            context.close(promise: nil)
        }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.timer?.cancel()
        self.parts.result.fail(ChannelError.ioOnClosedChannel)  // has no effect once it has succeeded
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch self.state {
        case .waiting:
            guard case .head(let head) = self.unwrapInboundIn(data) else { return context.close(promise: nil) }
            if Self.asksForWebSocket(head) { return self.ask(context: context, head: head) }
            self.handOver(context: context) { context.fireChannelRead(data) }
        case .deciding:
            guard case .end = self.unwrapInboundIn(data) else { return context.close(promise: nil) }
            self.state = .deciding(hasEnded: true)
        case .switching(var kept):
            kept.append(data)
            self.state = .switching(kept)
        case .refused: break
        case .gone: context.fireChannelRead(data)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // A parser error is answered behind the router; a decryption error has no answer.
        if case .waiting = self.state, error is HTTPParserError {
            return self.handOver(context: context) { context.fireErrorCaught(error) }
        }
        if case .gone = self.state { return context.fireErrorCaught(error) }
        context.close(promise: nil)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is ChannelShouldQuiesceEvent {
            self.isQuiescing = true
            if case .waiting = self.state { context.close(promise: nil) }
        }
        if case .gone = self.state {} else if event as? ChannelEvent == .inputClosed { context.close(promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }

    private func handOver(context: ChannelHandlerContext, then: () -> Void) {
        self.timer?.cancel()
        self.state = .gone
        do {
            self.parts.result.succeed(.http(try self.parts.installHTTP(context.channel)))
        } catch {
            self.parts.result.fail(error)
            return context.close(promise: nil)
        }
        then()
        context.pipeline.syncOperations.removeHandler(context: context, promise: nil)
    }

    private func ask(context: ChannelHandlerContext, head: HTTPRequestHead) {
        self.state = .deciding(hasEnded: false)
        let verdict = context.eventLoop.makePromise(of: UpgradeVerdict.self)
        let (decide, channel) = (self.parts.decide, context.channel)
        verdict.completeWithTask { await decide(head, channel) }
        verdict.futureResult.assumeIsolated().whenComplete { outcome in
            guard context.channel.isActive, case .deciding(hasEnded: true) = self.state,
                case .success(let verdict) = outcome
            else { return context.close(promise: nil) }
            self.timer?.cancel()
            switch verdict {
            case .refuse(let head, let body): self.refuse(context: context, head: head, body: body)
            case .accept(let socket, let headers):
                self.upgrade(context: context, head: head, socket: socket, headers: headers)
            }
        }
    }

    private func refuse(context: ChannelHandlerContext, head: HTTPResponseHead, body: ByteBuffer) {
        self.state = .refused
        var head = head
        head.headers.replaceOrAdd(name: "Connection", value: "close")
        head.headers.replaceOrAdd(name: "Content-Length", value: "\(body.readableBytes)")
        context.write(self.wrapOutboundOut(.head(head)), promise: nil)
        context.write(self.wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
        context.writeAndFlush(self.wrapOutboundOut(.end(nil)), promise: nil)
        context.close(mode: .output, promise: nil)
        self.timer = context.eventLoop.assumeIsolated().scheduleTask(in: Self.closeGrace) {
            context.close(promise: nil)
        }
    }

    private func upgrade(
        context: ChannelHandlerContext, head: HTTPRequestHead, socket: TerminalSocket, headers: HTTPHeaders
    ) {
        let (channel, operations) = (context.channel, context.pipeline.syncOperations)
        let wrap = self.parts.wrapWebSocket
        let upgrader = NIOTypedWebSocketServerUpgrader<WebSocketChannel>(
            maxFrameSize: Self.frameLimit,
            shouldUpgrade: { channel, _ in channel.eventLoop.makeSucceededFuture([:]) },
            upgradePipelineHandler: { channel, _ in channel.eventLoop.makeCompletedFuture { try wrap(channel) } })
        self.state = .switching([])
        upgrader.buildUpgradeResponse(channel: channel, upgradeRequest: head, initialResponseHeaders: headers)
            .assumeIsolated()
            .flatMap { built in operations.removeHandler(self.parts.framing.parts).map { built } }
            .flatMap { built in operations.removeHandler(self.parts.decoder).map { built } }
            .flatMap { built in operations.removeHandler(self.parts.framing.bytes).map { built } }
            .flatMap { built in
                let head = HTTPResponseHead(
                    version: .http1_1, status: .switchingProtocols,
                    headers: Self.answer(headers, handshake: built))
                return context.writeAndFlush(self.wrapOutboundOut(.head(head)))
            }
            .flatMap { operations.removeHandler(self.parts.encoder) }
            .flatMap { upgrader.upgrade(channel: channel, upgradeRequest: head) }
            .whenComplete { outcome in
                guard case .success(let webSocket) = outcome, case .switching(let kept) = self.state else {
                    return context.close(promise: nil)
                }
                self.state = .gone
                self.parts.result.succeed(.webSocket(webSocket, socket))
                for data in kept { context.fireChannelRead(data) }
                context.fireChannelReadComplete()
                if self.isQuiescing { context.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent()) }
                operations.removeHandler(context: context, promise: nil)
            }
    }

    /// The headers of the answer to an upgrade: NIO builds the handshake's and drops those that it was given.
    static func answer(_ headers: HTTPHeaders, handshake: HTTPHeaders) -> HTTPHeaders {
        var all = headers
        for (name, value) in handshake { all.replaceOrAdd(name: name, value: value) }
        return all
    }

    /// Whether a head asks for a WebSocket. An `Upgrade` in a request of HTTP/1.0 is ignored (RFC 9110 §7.8).
    static func asksForWebSocket(_ head: HTTPRequestHead) -> Bool {
        head.method == .GET && head.version == .http1_1 && !head.headers.contains(name: "transfer-encoding")
            && !head.headers.contains(name: "content-length")
            && head.headers[canonicalForm: "connection"].contains { $0.lowercased() == "upgrade" }
            && head.headers[canonicalForm: "upgrade"].contains { $0.lowercased() == "websocket" }
    }
}
