internal import Domain
internal import NIOCore
internal import TransportSecurity

/// Matches replies to the batches of commands that were written, in order, on the event loop.
final class RedisChannelHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    /// A batch of commands that the caller wants written.
    struct Request {
        let id: UInt64
        let bytes: ByteBuffer
        let replies: Int
        let timeout: Duration
        let continuation: CheckedContinuation<[RESPReply], any Error>
    }

    private struct Batch {
        let id: UInt64
        let size: Int
        var remaining: Int
        var replies: [RESPReply] = []
        /// Nil once the caller was cancelled; the replies are still awaited and dropped.
        var continuation: CheckedContinuation<[RESPReply], any Error>?
        let deadline: ReplyDeadline
        let timeout: Duration
        var timer: Scheduled<Void>?
    }

    private var reader: RESPReader
    private var batches: CircularBuffer<Batch> = []
    private var cancelledEarly: Set<UInt64> = []
    private var failure: RedisError?
    private let ready: EventLoopPromise<Void>
    private let expectsTLS: Bool
    private var isReady = false
    private var unansweredBytes = 0
    private var receivedBytes: Int64 = 0

    init(ready: EventLoopPromise<Void>, expectsTLS: Bool) throws(RedisError) {
        self.reader = try RESPReader()
        self.ready = ready
        self.expectsTLS = expectsTLS
    }

    // MARK: - Events of the channel

    func channelActive(context: ChannelHandlerContext) {
        if !self.expectsTLS { self.becomeReady() }
        context.fireChannelActive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is TLSHandshakeCompleted { self.becomeReady() }
        context.fireUserInboundEventTriggered(event)
    }

    private func becomeReady() {
        self.isReady = true
        self.ready.succeed()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard self.failure == nil else { return }
        let bytes = self.unwrapInboundIn(data)
        self.receivedBytes += Int64(bytes.readableBytes)
        do throws(RedisError) {
            try self.reader.feed(bytes.readableBytesView)
            while let reply = try self.reader.next() { try self.received(reply) }
        } catch {
            self.fail(error)
            context.close(promise: nil)
        }
    }

    private func received(_ reply: RESPReply) throws(RedisError) {
        guard !self.batches.isEmpty else {
            throw RedisError(code: .unexpectedReply, message: "Redis sent a reply to no command")
        }
        self.batches[self.batches.startIndex].replies.append(reply)
        self.batches[self.batches.startIndex].remaining -= 1
        guard self.batches[self.batches.startIndex].remaining == 0 else { return }
        let batch = self.batches.removeFirst()
        self.unansweredBytes -= batch.size
        batch.timer?.cancel()
        batch.continuation?.resume(returning: batch.replies)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        let known: RedisError =
            switch error {
            case let error as RedisError: error
            case let error as TLSError where !self.isReady:
                RedisError(code: .refused, message: "TLS with Redis failed", underlying: error)
            default: RedisError(code: .connectionLost, message: "the connection to Redis failed", underlying: error)
            }
        self.fail(known)
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.fail(RedisError(code: .connectionLost, message: "Redis closed the connection"))
        context.fireChannelInactive()
    }

    // MARK: - Batches

    /// Writes a batch and resumes its continuation exactly once: with its replies, or with the reason why there are none.
    func send(_ request: Request, on channel: any Channel) {
        if let failure = self.failure {
            // Nothing was written, so the same commands may be sent again.
            return request.continuation.resume(throwing: RedisError(code: .unreachable, message: failure.description))
        }
        if self.cancelledEarly.remove(request.id) != nil {
            return request.continuation.resume(throwing: CancellationError())
        }
        let size = request.bytes.readableBytes
        self.unansweredBytes += size
        let deadline = ReplyDeadline(
            at: channel.eventLoop.now, timeout: TimeAmount(request.timeout), sending: self.unansweredBytes,
            received: self.receivedBytes)
        self.batches.append(
            Batch(
                id: request.id, size: size, remaining: request.replies, continuation: request.continuation,
                deadline: deadline, timeout: request.timeout))
        self.checkDeadline(of: request.id, on: channel)
        channel.writeAndFlush(request.bytes, promise: nil)
    }

    /// Fails the connection when the time of a batch is over, else looks again when it may be.
    private func checkDeadline(of id: UInt64, on channel: any Channel) {
        guard let index = self.batches.firstIndex(where: { $0.id == id }) else { return }
        let batch = self.batches[index]
        let remaining = batch.deadline.remaining(at: channel.eventLoop.now, received: self.receivedBytes)
        guard remaining > .zero else {
            self.fail(RedisError(code: .timeout, message: "Redis did not answer within \(batch.timeout)"))
            return channel.close(promise: nil)
        }
        let bound = NIOLoopBound(self, eventLoop: channel.eventLoop)
        self.batches[index].timer = channel.eventLoop.scheduleTask(in: remaining) {
            bound.value.checkDeadline(of: id, on: channel)
        }
    }

    /// Fails all batches, once, with the first reason.
    func fail(_ error: RedisError) {
        let first = self.failure ?? error
        self.failure = first
        self.ready.fail(first)
        self.unansweredBytes = 0
        while let batch = self.batches.popFirst() {
            batch.timer?.cancel()
            batch.continuation?.resume(throwing: first)
        }
    }

    /// The caller of a batch was cancelled. The connection stays; the replies are dropped when they come.
    func cancel(id: UInt64) {
        guard let index = self.batches.firstIndex(where: { $0.id == id }) else {
            self.cancelledEarly.insert(id)
            return
        }
        let continuation = self.batches[index].continuation
        self.batches[index].continuation = nil
        continuation?.resume(throwing: CancellationError())
    }

    /// The call of this batch has returned; a cancellation that came late is dropped.
    func forget(id: UInt64) { self.cancelledEarly.remove(id) }
}
