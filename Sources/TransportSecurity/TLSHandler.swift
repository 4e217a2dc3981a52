internal import Domain
package import NIOCore

/// What client and server have in common: a session between the channel's bytes and the pipeline's.
package class TLSHandler: ChannelDuplexHandler {
    /// What the peer sent, encrypted.
    package typealias InboundIn = ByteBuffer
    /// The same in clear.
    package typealias InboundOut = ByteBuffer
    /// What goes to the peer, in clear.
    package typealias OutboundIn = ByteBuffer
    /// The same encrypted.
    package typealias OutboundOut = ByteBuffer

    /// More than any certificate chain that OpenSSL accepts.
    private static let handshakeLimit = 256 * 1024
    /// What may wait for the end of the handshake.
    private static let pendingLimit = 1024 * 1024
    /// What a peer may make OpenSSL answer while it reads none of it: by asking for new keys again and again.
    private static let answerLimit = 64 * 1024
    /// OpenSSL's buffers keep the size of the largest piece they held.
    private static let pieceSize = 64 * 1024

    /// How long a peer that does not read may keep a connection that was closed.
    private static let closeTimeout = TimeAmount.seconds(2)

    private let session: TLSSession
    private let handshakeTimeout: TimeAmount
    private var pending: [(ByteBuffer, EventLoopPromise<Void>?)] = []
    private var pendingBytes = 0
    private var handshakeBytes = 0
    private var answerBytes = 0
    private var isEstablished = false
    private var hasFailed = false
    private var isInputClosed = false
    private var isOutputClosed = false
    /// A read that nothing has been delivered for.
    private var isReadWanted = false
    private var timer: Scheduled<Void>?
    /// The close alert that is under way or was sent.
    private var leaving: EventLoopFuture<Void>?

    init(session: TLSSession, handshakeTimeout: TimeAmount) {
        self.session = session
        self.handshakeTimeout = handshakeTimeout
    }

    private var peer: String { self.session.isServer ? "client" : "server" }

    private var closedEarly: TLSError {
        TLSError(
            code: .protocolFailure, message: "the \(self.peer) closed the connection during the TLS handshake")
    }

    /// Begins the handshake when the channel is active already.
    package func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { self.begin(context: context) }
    }

    /// Cancels the handshake's timer and fails the writes that are still waiting.
    package func handlerRemoved(context: ChannelHandlerContext) {
        self.timer?.cancel()
        self.failPending(ChannelError.ioOnClosedChannel)
    }

    /// Passes the event on, then begins the handshake.
    package func channelActive(context: ChannelHandlerContext) {
        context.fireChannelActive()
        self.begin(context: context)
    }

    /// Fails the writes that are still waiting; reports an error when the peer closed the connection during the
    /// handshake.
    package func channelInactive(context: ChannelHandlerContext) {
        self.timer?.cancel()
        let isOurDoing = self.session.isServer && self.isInputClosed
        if !self.isEstablished, !self.hasFailed, !isOurDoing {
            self.hasFailed = true
            context.fireErrorCaught(self.closedEarly)
        }
        self.failPending(ChannelError.ioOnClosedChannel)
        context.fireChannelInactive()
    }

    /// Decrypts the bytes of the peer: continues the handshake, or passes clear bytes on. Fails the channel for bytes
    /// that OpenSSL refuses and for a handshake that is too long.
    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !self.hasFailed, !self.isInputClosed else { return }
        let bytes = self.unwrapInboundIn(data)
        do {
            try self.session.receive(bytes.readableBytesView)
            if !self.isEstablished {
                try self.advance(context: context)
                try self.limitHandshake(adding: bytes.readableBytes)
            }
            // A handler that was notified of the handshake's end may have closed the channel.
            guard self.isEstablished, !self.isInputClosed else { return }
            try self.deliver(context: context)
        } catch {
            self.fail(context: context, error)
        }
    }

    /// A read that brought the handshake's bytes alone, or half a record, is asked again: a handler that reads
    /// on demand waits for clear bytes.
    package func channelReadComplete(context: ChannelHandlerContext) {
        context.fireChannelReadComplete()
        guard !self.hasFailed, !self.isInputClosed, !self.isEstablished || self.isReadWanted else { return }
        context.read()
    }

    /// Treats an end of input without a close notify as a cut connection: fails an unfinished handshake, else closes
    /// the channel. Passes other events on.
    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard let change = event as? ChannelEvent, change == .inputClosed else {
            return context.fireUserInboundEventTriggered(event)
        }
        // After a close notify this is old news. Without one somebody cut the connection, perhaps in the
        // middle of a message: it must not pass for the end of what the peer had to say.
        guard !self.isInputClosed else { return }
        guard self.isEstablished else { return self.fail(context: context, self.closedEarly) }
        self.isInputClosed = true
        context.close(promise: nil)
    }

    /// Requests bytes, and records that clear bytes are wanted.
    package func read(context: ChannelHandlerContext) {
        self.isReadWanted = true
        context.read()
    }

    /// Keeps the bytes until `flush`. Fails the promise after an error or a close, and the channel when more than 1 MiB
    /// waits for the end of the handshake.
    package func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard !self.hasFailed, !self.isOutputClosed else {
            promise?.fail(ChannelError.ioOnClosedChannel)
            return
        }
        let buffer = self.unwrapOutboundIn(data)
        self.pending.append((buffer, promise))
        guard !self.isEstablished else { return }
        self.pendingBytes += buffer.readableBytes
        guard self.pendingBytes > Self.pendingLimit else { return }
        self.fail(
            context: context,
            TLSError(code: .protocolFailure, message: "more was written than can wait for the TLS handshake"))
    }

    /// A write's promise is kept when its encrypted bytes were written, so that a caller that waits for it may close.
    package func flush(context: ChannelHandlerContext) {
        guard self.isEstablished, !self.pending.isEmpty else { return }
        var writes = self.pending[...]
        self.pending = []
        do {
            while let (buffer, promise) = writes.first {
                try self.encrypt(buffer, context: context, promise: promise)
                writes.removeFirst()
            }
            context.flush()
        } catch {
            for (_, promise) in writes { promise?.fail(error) }
            self.fail(context: context, error)
        }
    }

    /// Sends a close notify where the output closes, and closes the channel once it is written or `closeTimeout` is
    /// over.
    package func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        let farewell = mode == .input ? nil : self.closeOutput(context: context)
        if mode != .output { self.isInputClosed = true }
        if mode == .all, let leaving = self.leaving {
            let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
            return leaving.whenComplete { _ in bound.value.close(mode: mode, promise: promise) }
        }
        guard let farewell else { return context.close(mode: mode, promise: promise) }
        // Closed only once the close alert was sent: a caller that closes when a write is done does so in the middle of
        // a flush, and what is written then would be dropped.
        let written = context.eventLoop.makePromise(of: Void.self)
        self.leaving = written.futureResult
        let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
        let closeTimer = context.eventLoop.scheduleTask(in: Self.closeTimeout) {
            written.fail(ChannelError.connectTimeout(Self.closeTimeout))
        }
        written.futureResult.whenComplete { _ in
            closeTimer.cancel()
            bound.value.close(mode: mode, promise: promise)
        }
        context.writeAndFlush(self.wrapOutboundOut(farewell)).whenComplete { written.completeWith($0) }
    }

    private func begin(context: ChannelHandlerContext) {
        guard self.timer == nil else { return }
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        self.timer = context.eventLoop.scheduleTask(in: self.handshakeTimeout) {
            let (handler, context) = bound.value
            guard !handler.isEstablished else { return }
            let hint = handler.session.isServer ? "" : "; is it a plain-text port?"
            handler.fail(
                context: context,
                TLSError(
                    code: .handshakeTimeout,
                    message: "the \(handler.peer) did not finish the TLS handshake in time\(hint)"))
        }
        do {
            try self.advance(context: context)
            context.read()
        } catch {
            self.fail(context: context, error)
        }
    }

    private func advance(context: ChannelHandlerContext) throws(TLSError) {
        let progress = try self.session.handshake()
        self.flushOutput(context: context)
        guard progress == .done else { return }
        let client = try self.session.verifiedClient()
        self.isEstablished = true
        self.timer?.cancel()
        if let client { context.fireUserInboundEventTriggered(client) }
        context.fireUserInboundEventTriggered(TLSHandshakeCompleted())
        self.flush(context: context)
    }

    private func limitHandshake(adding count: Int) throws(TLSError) {
        self.handshakeBytes += count
        guard self.isEstablished || self.handshakeBytes <= Self.handshakeLimit else {
            throw TLSError(code: .protocolFailure, message: "the \(self.peer)'s TLS handshake is too long")
        }
    }

    private func deliver(context: ChannelHandlerContext) throws(TLSError) {
        var clear = context.channel.allocator.buffer(capacity: 16 * 1024)
        let isOpen = try self.session.read(into: &clear)
        if context.channel.isWritable { self.answerBytes = 0 }
        self.answerBytes += self.flushOutput(context: context)
        guard self.answerBytes <= Self.answerLimit else {
            throw TLSError(code: .protocolFailure, message: "the \(self.peer) asks for new keys and reads nothing")
        }
        if clear.readableBytes > 0 {
            self.isReadWanted = false
            context.fireChannelRead(self.wrapInboundOut(clear))
        }
        guard !isOpen, !self.isInputClosed else { return }
        self.isInputClosed = true
        if self.session.isServer, self.allowsHalfClosure(context) {
            context.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        } else {
            if self.session.isServer {
                self.close(context: context, mode: .all, promise: nil)
            } else {
                context.close(promise: nil)
            }
        }
    }

    private func allowsHalfClosure(_ context: ChannelHandlerContext) -> Bool {
        // NIO throws for a closed channel alone, which has no half left to keep open.
        (try? context.channel.syncOptions?.getOption(.allowRemoteHalfClosure)) ?? false
    }

    /// The encrypted bytes leave OpenSSL piece by piece; the promise goes with the last.
    private func encrypt(
        _ buffer: ByteBuffer, context: ChannelHandlerContext, promise: EventLoopPromise<Void>?
    ) throws(TLSError) {
        var rest = buffer
        repeat {
            if let piece = rest.readSlice(length: min(Self.pieceSize, rest.readableBytes)) {
                try self.session.write(piece)
            }
            // An empty write keeps its place: its promise says that all before it was written.
            let output = self.session.takeOutput(allocator: context.channel.allocator) ?? ByteBuffer()
            context.write(self.wrapOutboundOut(output), promise: rest.readableBytes == 0 ? promise : nil)
        } while rest.readableBytes > 0
    }

    /// The close alert, by which the peer distinguishes an end from a cut; nil when none is due.
    private func closeOutput(context: ChannelHandlerContext) -> ByteBuffer? {
        guard self.isEstablished, !self.hasFailed, !self.isOutputClosed else { return nil }
        self.isOutputClosed = true
        self.failPending(ChannelError.ioOnClosedChannel)
        self.session.sendCloseNotify()
        return self.session.takeOutput(allocator: context.channel.allocator)
    }

    @discardableResult
    private func flushOutput(context: ChannelHandlerContext) -> Int {
        guard let output = self.session.takeOutput(allocator: context.channel.allocator) else { return 0 }
        context.writeAndFlush(self.wrapOutboundOut(output), promise: nil)
        return output.readableBytes
    }

    private func fail(context: ChannelHandlerContext, _ error: any Error) {
        guard !self.hasFailed else { return }
        self.hasFailed = true
        self.timer?.cancel()
        self.flushOutput(context: context)  // the alert that gives the peer the reason
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
