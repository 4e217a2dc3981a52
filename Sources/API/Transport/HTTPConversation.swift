internal import HTTPTypes
internal import Hummingbird
internal import HummingbirdCore
internal import Logging
internal import NIOCore
internal import NIOHTTP1
internal import NIOHTTPTypes

/// The requests of one connection, one after another: each is read within its bounds, answered, and the connection ends
/// with whatever leaves it in doubt.
struct HTTPConversation: Sendable {
    let pipeline: RequestPipeline
    let configuration: APIConfiguration
    let logger: Logger

    private typealias Parts = NIOAsyncChannelInboundStream<HTTPRequestPart>.AsyncIterator
    private typealias Writer = NIOAsyncChannelOutboundWriter<HTTPResponsePart>

    /// How much of an unread body is still taken, and for how long, so that the answer is not cut off by a reset.
    private static let drainLimit = 1024 * 1024
    private static let drainTime = TimeAmount.seconds(2)
    /// How long a client may take to take an answer.
    static let writeTime = TimeAmount.seconds(20)

    /// The body did not arrive in time.
    private struct BodyTimeout: Error {}

    @concurrent
    func run(on channel: HTTPChannel) async {
        do {
            try await channel.executeThenClose { inbound, outbound in
                var parts = inbound.makeAsyncIterator()
                var isReadable = true
                do {
                    while case .head(let head)? = try await parts.next() {
                        guard try await self.exchange(head, &parts, outbound, channel.channel) else { break }
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
        var body = Body()
        var given = parts
        let limit = self.configuration.bodyLimit
        let hasNoBody =
            head.headerFields[.contentLength] ?? "0" == "0" && head.headerFields[.transferEncoding] == nil
        let response = await self.pipeline.answer(head, on: channel) {
            if let text = head.headerFields[.contentLength], let length = Int(text), length > limit {
                throw Self.tooLarge(limit)
            }
            if head.headerFields[.expect]?.lowercased() == "100-continue", !hasNoBody {
                try await outbound.write(.head(HTTPResponse(status: .continue)))
            }
            return try await self.read(&body, &given, limit, channel)
        }
        parts = given
        // A request without a body that was refused has nothing unread but its end, which is here already.
        if !body.hasEnded, hasNoBody, case .end? = try await parts.next() { body.hasEnded = true }
        var headed = response
        if head.method == .head { headed = headed.createHeadResponse() }
        // What was not read, or was asked to be the last, ends the connection.
        let isLast =
            !body.hasEnded || response.headers[.connection] == "close" || head.headerFields[.connection] == "close"
        if isLast { headed.headers[.connection] = "close" }
        try await self.write(headed, outbound, channel)
        return !isLast
    }

    private struct Body {
        var bytes = ByteBuffer()
        var hasEnded = false
    }

    @concurrent
    private func read(
        _ body: inout Body, _ parts: inout Parts, _ limit: Int, _ channel: any Channel
    ) async throws -> ByteBuffer {
        let deadline = channel.eventLoop.scheduleTask(in: .seconds(Int64(self.configuration.bodyTimeout))) {
            channel.pipeline.fireErrorCaught(BodyTimeout())
        }
        defer { deadline.cancel() }
        do {
            while let part = try await parts.next() {
                switch part {
                case .body(let bytes):
                    guard body.bytes.readableBytes + bytes.readableBytes <= limit else { throw Self.tooLarge(limit) }
                    body.bytes.writeImmutableBuffer(bytes)
                case .end:
                    body.hasEnded = true
                    return body.bytes
                case .head: throw HTTPParserError.unknown
                }
            }
        } catch is BodyTimeout {
            var problem = Problem(
                .timeout, "the body did not arrive within \(self.configuration.bodyTimeout) s")
            problem.closes = true
            throw problem
        } catch let error as IOError {
            throw Self.cutShort(error)
        }
        throw Self.cutShort(nil)
    }

    private static func tooLarge(_ limit: Int) -> Problem {
        var problem = Problem(.tooLarge, "the body has more than \(limit) bytes")
        problem.closes = true
        return problem
    }

    private static func cutShort(_ error: IOError?) -> Problem {
        var problem = Problem(.malformed, "the connection ended in the middle of the body")
        problem.closes = true
        return problem
    }

    @concurrent
    private func write(_ response: Response, _ outbound: Writer, _ channel: any Channel) async throws {
        let deadline = channel.eventLoop.scheduleTask(in: Self.writeTime) { channel.close(promise: nil) }
        // A stream takes as long as it takes, and has deadlines of its own.
        if response.body.contentLength == nil { deadline.cancel() }
        defer { deadline.cancel() }
        try await ResponseWriter(outbound: outbound).write(
            response: HTTPResponse(status: response.status, headerFields: response.headers), body: response.body)
    }

    /// Takes what the client still sends, for a moment: closing with bytes unread would reset the connection, and the
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
            } catch is HTTPParserError {}
        }
        // What comes now is dropped unread; the client closes once it has the answer, or the deadline does.
        try await channel.closeFuture.get()
    }
}
