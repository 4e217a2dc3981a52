internal import HTTPTypes
internal import Hummingbird
internal import HummingbirdCore
internal import Logging
internal import NIOCore
internal import NIOHTTP1
internal import NIOHTTPTypes

/// The requests of one connection, one after another: each is read within its bounds and answered. The connection is
/// closed when its framing can no longer be trusted.
struct HTTPConversation: Sendable {
    let pipeline: RequestPipeline
    let configuration: APIConfiguration
    let connections: ConnectionRegistry
    let logger: Logger

    private typealias Parts = BodyReading.Parts
    private typealias Writer = NIOAsyncChannelOutboundWriter<HTTPResponsePart>

    /// How much of an unread body is still taken, and for how long, so that a reset does not cut off the answer.
    private static let drainLimit = 1024 * 1024
    private static let drainTime = TimeAmount.seconds(2)
    /// How long a client may take to read an answer.
    static let writeTime = TimeAmount.seconds(20)

    /// Serves the connection until it closes; never throws.
    @concurrent
    func run(on channel: HTTPChannel) async {
        do {
            try await channel.executeThenClose { inbound, outbound in
                var parts = inbound.makeAsyncIterator()
                var isReadable = true
                do {
                    while case .head(let head)? = try await parts.next() {
                        self.connections.markBusy(channel.channel)
                        guard try await self.exchange(head, &parts, outbound, channel.channel) else { break }
                        self.connections.markIdle(channel.channel)
                    }
                } catch let error as HTTPParserError {
                    isReadable = false
                    let response = await self.pipeline.answerUnreadable(error, on: channel.channel)
                    try await self.write(response, outbound, channel.channel)
                }
                outbound.finish()
                try await self.drain(&parts, isReadable, channel.channel)
            }
        } catch {
            self.logger.trace("a connection ended", error: error)
        }
    }

    /// Answers one request; false when the connection must not be used for another.
    @concurrent
    private func exchange(
        _ head: HTTPRequest, _ parts: inout Parts, _ outbound: Writer, _ channel: any Channel
    ) async throws -> Bool {
        var hasEnded = false
        let response: Response
        if Endpoint.streamsBody(head) {
            response = await self.streamed(head, &hasEnded, &parts, outbound, channel)
        } else {
            response = await self.collected(head, &hasEnded, &parts, outbound, channel)
        }
        // Of a request without a body that was refused only its end is unread, and that has arrived.
        if !hasEnded, !Self.hasBody(head), case .end? = try await parts.next() { hasEnded = true }
        var headed = response
        if head.method == .head { headed = headed.createHeadResponse() }
        // A body that was not read whole, or `Connection: close` of either side, ends the connection.
        let isLast =
            !hasEnded || response.headers[.connection] == "close" || head.headerFields[.connection] == "close"
        if isLast { headed.headers[.connection] = "close" }
        try await self.write(headed, outbound, channel)
        return !isLast
    }

    /// Answers a request whose body is read whole before it is routed.
    @concurrent
    private func collected(
        _ head: HTTPRequest, _ hasEnded: inout Bool, _ parts: inout Parts, _ outbound: Writer, _ channel: any Channel
    ) async -> Response {
        let limit = self.configuration.bodyLimit
        let reading = BodyReading(channel: channel, timeout: self.configuration.bodyTimeout)
        return await self.pipeline.answer(head, on: channel) {
            if Self.exceeds(limit, head.headerFields[.contentLength]) { throw Problem.tooLarge(limit) }
            try await Self.permitBody(head, outbound)
            let body = try await reading.collect(&parts, limit: limit)
            hasEnded = true
            return body
        }
    }

    /// Answers a request whose body is read while it is used: as little of it as the answer needs, none for one that is
    /// refused.
    @concurrent
    private func streamed(
        _ head: HTTPRequest, _ hasEnded: inout Bool, _ parts: inout Parts, _ outbound: Writer, _ channel: any Channel
    ) async -> Response {
        let incoming = IncomingBody(limit: self.configuration.archiveLimit)
        let pipeline = self.pipeline
        async let response = {
            defer { incoming.close() }
            return await pipeline.answer(head, on: channel, streaming: incoming) { ByteBuffer() }
        }()
        hasEnded = await BodyReading(channel: channel, timeout: self.configuration.bodyTimeout)
            .feed(incoming, from: &parts) { try await Self.permitBody(head, outbound) }
        return await response
    }

    private static func hasBody(_ head: HTTPRequest) -> Bool {
        head.headerFields[.contentLength] ?? "0" != "0" || head.headerFields[.transferEncoding] != nil
    }

    /// Sends the permission to a client that waits for it before it sends the body.
    @concurrent
    private static func permitBody(_ head: HTTPRequest, _ outbound: Writer) async throws {
        guard head.headerFields[.expect]?.lowercased() == "100-continue", Self.hasBody(head) else { return }
        try await outbound.write(.head(HTTPResponse(status: .continue)))
    }

    /// Whether a `Content-Length` announces more than `limit` bytes; any number of digits is compared.
    static func exceeds(_ limit: Int, _ length: String?) -> Bool {
        guard let length, !length.isEmpty, length.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return false }
        // What does not fit into an integer is longer than any limit.
        return Int(length).map { $0 > limit } ?? true
    }

    @concurrent
    private func write(_ response: Response, _ outbound: Writer, _ channel: any Channel) async throws {
        let deadline = channel.eventLoop.scheduleTask(in: Self.writeTime) { channel.close(promise: nil) }
        // A stream has no such deadline as a whole: each of its writes has one.
        if response.body.contentLength == nil { deadline.cancel() }
        defer { deadline.cancel() }
        try await ResponseWriter(outbound: outbound).write(
            response: HTTPResponse(status: response.status, headerFields: response.headers), body: response.body)
    }

    /// Reads for a moment what the client still sends: closing with unread bytes would reset the connection, and the
    /// client might never see the answer.
    @concurrent
    private func drain(_ parts: inout Parts, _ isReadable: Bool, _ channel: any Channel) async throws {
        let deadline = channel.eventLoop.scheduleTask(in: Self.drainTime) { channel.close(promise: nil) }
        defer { deadline.cancel() }
        var count = 0
        if isReadable {
            do {
                while count < Self.drainLimit, let part = try await parts.next() {
                    if case .body(let bytes) = part { count += bytes.readableBytes }
                }
                return
            } catch is HTTPParserError {
                // Answered already. `RequestFraming` drops what follows, up to its limit.
            }
        }
        // The client closes once it has the answer, or the deadline does.
        try await channel.closeFuture.get()
    }
}
