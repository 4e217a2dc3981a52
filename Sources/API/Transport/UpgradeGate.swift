internal import NIOCore
internal import NIOExtras
internal import NIOHTTP1
internal import NIOHTTPTypes
internal import NIOWebSocket

typealias HTTPChannel = NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>
typealias WebSocketChannel = NIOAsyncChannel<WebSocketFrame, WebSocketFrame>

/// What a connection turned out to be with its first request.
enum Negotiated: Sendable {
    case http(HTTPChannel)
    case webSocket(WebSocketChannel, TerminalSocket)
}

/// What is answered to a request for a WebSocket.
enum UpgradeVerdict: Sendable {
    /// With what its answer carries beside the handshake.
    case accept(TerminalSocket, HTTPHeaders)
    case refuse(HTTPResponseHead, ByteBuffer)
}

/// Looks at the first request of a connection: one for a WebSocket is decided here, before anything was upgraded, and
/// everything else is handed to the router.
///
/// NIO's own upgraders lose a request that they refuse, and after any request with an `Upgrade` the parser stops for
/// good and keeps what comes; so a refusal is answered here, and such a connection always ends with its answer.
final class UpgradeGate: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    struct Parts {
        let encoder: HTTPResponseEncoder
        let decoder: ByteToMessageHandler<HTTPRequestDecoder>
        /// For the handshake, the first head and the decision together.
        let headTimeout: TimeAmount
        let result: EventLoopPromise<Negotiated>
        let decide: @Sendable (HTTPRequestHead, any Channel) async -> UpgradeVerdict
        let installHTTP: @Sendable (any Channel) throws -> HTTPChannel
        let wrapWebSocket: @Sendable (any Channel) throws -> WebSocketChannel
    }

    private enum State {
        case waiting
        case deciding(hasEnded: Bool)
        /// Bytes that came meanwhile.
        case switching([NIOAny])
        case refused
        case gone
    }

    private let parts: Parts
    private var state = State.waiting
    private var isQuiescing = false
    private var timer: Scheduled<Void>?

    private static let frameLimit = 64 * 1024
    /// How long a refused client may take to read why.
    private static let closeGrace = TimeAmount.seconds(2)

    init(_ parts: Parts) { self.parts = parts }

    func handlerAdded(context: ChannelHandlerContext) {
        self.timer = context.eventLoop.assumeIsolated().scheduleTask(in: self.parts.headTimeout) {
            context.close(promise: nil)
        }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.timer?.cancel()
        self.parts.result.fail(ChannelError.ioOnClosedChannel)  // of no effect where it has been kept
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
        // What cannot be parsed is answered by the router's side; what cannot be decrypted has no answer.
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
            .flatMap { headers in operations.removeHandler(self.parts.decoder).map { headers } }
            .flatMap { headers in
                context.writeAndFlush(
                    self.wrapOutboundOut(
                        .head(HTTPResponseHead(version: .http1_1, status: .switchingProtocols, headers: headers))))
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

    private static func asksForWebSocket(_ head: HTTPRequestHead) -> Bool {
        head.method == .GET && !head.headers.contains(name: "transfer-encoding")
            && !head.headers.contains(name: "content-length")
            && head.headers[canonicalForm: "connection"].contains { $0.lowercased() == "upgrade" }
            && head.headers[canonicalForm: "upgrade"].contains { $0.lowercased() == "websocket" }
    }
}

/// Makes what the client means by its connection plain to what comes behind, which knows one spelling of it.
final class ConnectionReader: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .head(var head) = self.unwrapInboundIn(data) else { return context.fireChannelRead(data) }
        // One coding, in one spelling, and none in the version that does not know it: nobody on the way can then have
        // read the body's end elsewhere.
        let codings = head.headers["transfer-encoding"]
        guard codings.isEmpty || (codings == ["chunked"] && head.version == .http1_1) else {
            return context.fireErrorCaught(HTTPParserError.unknown)
        }
        // A version that does not know interim answers must get none (RFC 9110 §10.1.1).
        if head.version != .http1_1 { head.headers.remove(name: "expect") }
        // Behind an upgrade or a tunnel that was not taken nothing more is read.
        if !head.isKeepAlive || head.headers.contains(name: "upgrade") || head.method == .CONNECT {
            head.headers.replaceOrAdd(name: "Connection", value: "close")
        }
        context.fireChannelRead(self.wrapInboundOut(.head(head)))
    }
}

/// Said by an answer that goes on until its reader has enough.
struct StreamBegan: Sendable {}

/// Ends a stream whose reader has closed its side: it waits for nothing more, and nothing else would notice until much is
/// written. Any other answer is still given then.
final class ReaderWatch: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = NIOAny
    typealias OutboundIn = NIOAny

    private var isStreaming = false
    private var isInputClosed = false

    func triggerUserOutboundEvent(context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?) {
        guard event is StreamBegan else { return context.triggerUserOutboundEvent(event, promise: promise) }
        self.isStreaming = true
        promise?.succeed()
        if self.isInputClosed { context.close(promise: nil) }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event as? ChannelEvent == .inputClosed {
            self.isInputClosed = true
            if self.isStreaming { context.close(promise: nil) }
        }
        context.fireUserInboundEventTriggered(event)
    }
}
