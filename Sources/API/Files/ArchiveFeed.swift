internal import Domain
internal import Glibc
internal import Hummingbird
internal import HummingbirdCore
internal import NIOCore

/// An archive on its way to a client. What packs it waits until the client has taken the part before, so that an archive of
/// any size needs the memory of two parts.
struct ArchiveFeed: Sendable {
    /// Writes an archive, part by part.
    typealias Packing = @Sendable (_ sink: @escaping @Sendable ([UInt8]) async throws -> Void) async throws -> Void

    private enum Item: Sendable {
        case part(ByteBuffer)
        /// The archive is whole. Only this ends the answer well: a stream also ends when its task is cancelled.
        case end
    }

    private let channel: any Channel
    private let items: AsyncThrowingStream<Item, any Error>
    /// One for each part that the client has taken.
    private let taken: AsyncSemaphore
    /// Ends the packing when this feed is let go, also where its answer is never sent.
    private let ticket: StreamTicket

    /// Begins to pack. `place` is held until the packing has ended; the connection is closed when the credential ends.
    init(
        on channel: any Channel, place: StreamTicket, guardian: StreamGuardian, packing: @escaping Packing
    ) {
        // Bounded by the semaphore: one part waits.
        let (items, feed) = AsyncThrowingStream.makeStream(of: Item.self)
        let taken = AsyncSemaphore(0)
        let task = Task {  // its end is the stream's, which the answer awaits; cancelled by the ticket
            defer { withExtendedLifetime(place) {} }
            do {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { if await guardian.ended() { channel.close(promise: nil) } }
                    try await packing { bytes in
                        feed.yield(.part(ByteBuffer(bytes: bytes)))
                        try await taken.take()
                    }
                    group.cancelAll()
                }
                feed.yield(.end)
                feed.finish()
            } catch {
                feed.finish(throwing: error)
            }
        }
        // A client that is gone takes no more parts.
        channel.closeFuture.whenComplete { _ in task.cancel() }
        self.channel = channel
        self.items = items
        self.taken = taken
        self.ticket = StreamTicket { task.cancel() }
    }

    /// The answer, once there is something to send. Throws what the packing throws before that.
    func response() async throws -> Response {
        var iterator = self.items.makeAsyncIterator()
        guard let first = try await iterator.next() else { throw CancellationError() }
        return Response(
            status: .ok, headers: [.contentType: "application/x-tar"],
            body: ResponseBody { writer in
                do {
                    try await self.send(first, into: &writer)
                } catch {
                    self.reset()
                    throw error
                }
            })
    }

    @concurrent
    private func send(_ first: Item, into writer: inout any ResponseBodyWriter) async throws {
        self.channel.triggerUserOutboundEvent(StreamBegan(), promise: nil)
        var next: Item? = first
        var iterator = self.items.makeAsyncIterator()
        while case .part(let bytes)? = next {
            try await self.write(bytes, &writer)
            self.taken.give()
            next = try await iterator.next()
        }
        guard case .end? = next else { throw CancellationError() }
        try await writer.finish(nil)
        withExtendedLifetime(self.ticket) {}
    }

    /// A client that does not take this in time has its connection closed.
    @concurrent
    private func write(_ bytes: ByteBuffer, _ writer: inout any ResponseBodyWriter) async throws {
        let channel = self.channel
        let deadline = channel.eventLoop.scheduleTask(in: HTTPConversation.writeTime) { channel.close(promise: nil) }
        defer { deadline.cancel() }
        try await writer.write(bytes)
    }

    /// Ends the connection in a way that no client takes for the end of an answer, also one of HTTP/1.0, where the end of the
    /// connection is that of the answer.
    private func reset() {
        // Without it the end is only not announced, which clients of HTTP/1.1 see.
        if let socket = self.channel as? any SocketOptionProvider {
            socket.setSoLinger(linger(l_onoff: 1, l_linger: 0)).whenComplete { _ in self.channel.close(promise: nil) }
        } else {
            self.channel.close(promise: nil)
        }
    }
}
