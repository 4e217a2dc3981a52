internal import Domain
internal import NIOCore
internal import TransportSecurity

/// Matches replies to the batches of commands that were written, in order, on the event loop.
final class RedisChannelHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private struct Batch {
        let id: UInt64
        var remaining: Int
        var replies: [RESPReply]
        /// Nil once the caller gave up; the replies are still awaited and dropped.
        var continuation: CheckedContinuation<[RESPReply], any Error>?
        let deadline: Scheduled<Void>
    }

    private var reader: RESPReader
    private var batches: CircularBuffer<Batch> = []
    private var cancelledEarly: Set<UInt64> = []
    private var failure: RedisError?
    private let ready: EventLoopPromise<Void>
    private let expectsTLS: Bool
    private var isReady = false

    init(ready: EventLoopPromise<Void>, expectsTLS: Bool) throws(RedisError) {
        self.reader = try RESPReader()
        self.ready = ready
        self.expectsTLS = expectsTLS
    }

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
        do throws(RedisError) {
            try self.reader.feed(self.unwrapInboundIn(data).readableBytesView)
            while let reply = try self.reader.next() { try self.received(reply) }
        } catch {
            self.fail(error)
            context.close(promise: nil)
        }
    }

    private func received(_ reply: RESPReply) throws(RedisError) {
        guard !self.batches.isEmpty else {
            throw RedisError(code: .unexpectedReply, message: "Redis sent a reply that nobody asked for")
        }
        self.batches[self.batches.startIndex].replies.append(reply)
        self.batches[self.batches.startIndex].remaining -= 1
        guard self.batches[self.batches.startIndex].remaining == 0 else { return }
        let batch = self.batches.removeFirst()
        batch.deadline.cancel()
        batch.continuation?.resume(returning: batch.replies)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        let known: RedisError =
            switch error {
            case let error as RedisError: error
            case let error as TLSError where !self.isReady: RedisError(code: .refused, message: error.message)
            default: RedisError(code: .connectionLost, message: "the connection to Redis failed: \(error)")
            }
        self.fail(known)
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.fail(RedisError(code: .connectionLost, message: "Redis closed the connection"))
        context.fireChannelInactive()
    }

    /// Fails what waits, once, with the first reason.
    func fail(_ error: RedisError) {
        let first = self.failure ?? error
        self.failure = first
        self.ready.fail(first)
        while let batch = self.batches.popFirst() {
            batch.deadline.cancel()
            batch.continuation?.resume(throwing: first)
        }
    }

    /// Notes a batch whose bytes are about to be written; resumes its continuation exactly once.
    func expect(
        id: UInt64, replies: Int, deadline: Scheduled<Void>, continuation: CheckedContinuation<[RESPReply], any Error>
    ) -> Bool {
        if let failure = self.failure {
            deadline.cancel()
            continuation.resume(throwing: RedisError(code: .unreachable, message: failure.message))
            return false
        }
        if self.cancelledEarly.remove(id) != nil {
            deadline.cancel()
            continuation.resume(throwing: CancellationError())
            return false
        }
        self.batches.append(
            Batch(id: id, remaining: replies, replies: [], continuation: continuation, deadline: deadline))
        return true
    }

    /// The caller of a batch gave up. The connection stays, its replies are dropped when they come.
    func cancel(id: UInt64) {
        guard let index = self.batches.firstIndex(where: { $0.id == id }) else {
            self.cancelledEarly.insert(id)
            return
        }
        let continuation = self.batches[index].continuation
        self.batches[index].continuation = nil
        continuation?.resume(throwing: CancellationError())
    }

    /// A batch that was never enqueued will not come any more.
    func forget(id: UInt64) { self.cancelledEarly.remove(id) }
}
