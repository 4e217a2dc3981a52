package import NIOCore

/// Fired as a user event once the handshake is over and the peer is trusted.
package struct TLSHandshakeCompleted: Sendable {
    package init() {}
}

/// Encrypts a client's channel with the system's OpenSSL.
///
/// Writes made before the handshake wait for it. A refused peer fires a `TLSError` and closes the
/// channel; nothing written has left by then. In TLS 1.3 a server judges the client's certificate after
/// the client's handshake is complete, so its refusal shows at the first read.
package final class TLSClientHandler: ChannelDuplexHandler {
    package typealias InboundIn = ByteBuffer
    package typealias InboundOut = ByteBuffer
    package typealias OutboundIn = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    private let session: TLSSession
    private let handshakeTimeout: TimeAmount
    private var pending: [(ByteBuffer, EventLoopPromise<Void>?)] = []
    private var isEstablished = false
    private var hasFailed = false
    private var timer: Scheduled<Void>?

    /// Reads the configuration's files; throws `TLSError.configuration` when one cannot be used.
    package init(configuration: TLSConfiguration, handshakeTimeout: TimeAmount = .seconds(5)) throws(TLSError) {
        self.session = try TLSSession(configuration: configuration)
        self.handshakeTimeout = handshakeTimeout
    }

    /// Throws `TLSError.configuration` when a file or name of the configuration cannot be used.
    package static func validate(_ configuration: TLSConfiguration) throws(TLSError) {
        _ = try TLSSession(configuration: configuration)
    }

    package func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { self.begin(context: context) }
    }

    package func handlerRemoved(context: ChannelHandlerContext) { self.failPending(ChannelError.ioOnClosedChannel) }

    package func channelActive(context: ChannelHandlerContext) {
        context.fireChannelActive()
        self.begin(context: context)
    }

    package func channelInactive(context: ChannelHandlerContext) {
        self.timer?.cancel()
        if !self.isEstablished, !self.hasFailed {
            self.hasFailed = true
            context.fireErrorCaught(
                TLSError(code: .protocolFailure, message: "the server closed the connection during the TLS handshake"))
        }
        self.failPending(ChannelError.ioOnClosedChannel)
        context.fireChannelInactive()
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !self.hasFailed else { return }
        do {
            try self.session.receive(self.unwrapInboundIn(data).readableBytesView)
            if !self.isEstablished { try self.advance(context: context) }
            guard self.isEstablished else { return }
            var clear = context.channel.allocator.buffer(capacity: 16 * 1024)
            let isOpen = try self.session.read(into: &clear)
            self.flushOutput(context: context)
            if clear.readableBytes > 0 { context.fireChannelRead(self.wrapInboundOut(clear)) }
            if !isOpen { context.close(promise: nil) }
        } catch {
            self.fail(context: context, error)
        }
    }

    package func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        self.pending.append((self.unwrapOutboundIn(data), promise))
    }

    package func flush(context: ChannelHandlerContext) {
        guard self.isEstablished, !self.pending.isEmpty else { return }
        let writes = self.pending
        self.pending.removeAll(keepingCapacity: true)
        do {
            for (buffer, _) in writes { try self.session.write(buffer) }
            self.flushOutput(context: context)
            for (_, promise) in writes { promise?.succeed() }
        } catch {
            for (_, promise) in writes { promise?.fail(error) }
            self.fail(context: context, error)
        }
    }

    package func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        if self.isEstablished, !self.hasFailed {
            self.session.sendCloseNotify()
            self.flushOutput(context: context)
        }
        context.close(mode: mode, promise: promise)
    }

    private func begin(context: ChannelHandlerContext) {
        guard self.timer == nil else { return }
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        self.timer = context.eventLoop.scheduleTask(in: self.handshakeTimeout) {
            let (handler, context) = bound.value
            guard !handler.isEstablished else { return }
            handler.fail(
                context: context,
                TLSError(
                    code: .handshakeTimeout,
                    message: "the server did not finish the TLS handshake in time; is it a plain-text port?"))
        }
        do { try self.advance(context: context) } catch { self.fail(context: context, error) }
    }

    private func advance(context: ChannelHandlerContext) throws {
        do {
            let progress = try self.session.handshake()
            self.flushOutput(context: context)
            guard progress == .done else { return }
        } catch {
            self.flushOutput(context: context)  // the alert that tells the peer why
            throw error
        }
        self.isEstablished = true
        self.timer?.cancel()
        context.fireUserInboundEventTriggered(TLSHandshakeCompleted())
        self.flush(context: context)
    }

    private func flushOutput(context: ChannelHandlerContext) {
        guard let output = self.session.takeOutput(allocator: context.channel.allocator) else { return }
        context.writeAndFlush(self.wrapOutboundOut(output), promise: nil)
    }

    private func fail(context: ChannelHandlerContext, _ error: any Error) {
        guard !self.hasFailed else { return }
        self.hasFailed = true
        self.timer?.cancel()
        self.failPending(error)
        context.fireErrorCaught(error)
        context.close(promise: nil)
    }

    private func failPending(_ error: any Error) {
        let writes = self.pending
        self.pending.removeAll()
        for (_, promise) in writes { promise?.fail(error) }
    }
}
