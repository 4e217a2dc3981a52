internal import NIOCore
internal import NIOHTTP1
internal import NIOHTTPTypes

/// Reads the bodies of one connection's requests, within a time.
struct BodyReading: Sendable {
    typealias Parts = NIOAsyncChannelInboundStream<HTTPRequestPart>.AsyncIterator

    let channel: any Channel
    /// Seconds for a body that is collected, and for each part of one that is fed.
    let timeout: Int

    /// The body did not arrive in time.
    private struct Timeout: Error {}

    /// The whole body, of at most `limit` bytes. Throws a `Problem` or the parser's error; a part of the body may be unread
    /// then.
    @concurrent
    func collect(_ parts: inout Parts, limit: Int) async throws -> ByteBuffer {
        let deadline = self.deadline()
        defer { deadline.cancel() }
        var body = ByteBuffer()
        while let bytes = try await self.next(&parts) {
            guard body.readableBytes + bytes.readableBytes <= limit else { throw Problem.tooLarge(limit) }
            body.writeImmutableBuffer(bytes)
        }
        return body
    }

    /// Reads parts as they are asked for, until nothing more is; whether the body's end was read. `permit` is called before
    /// the first part is read.
    @concurrent
    func feed(
        _ body: IncomingBody, from parts: inout Parts, permit: @concurrent () async throws -> Void
    ) async -> Bool {
        var (isPermitted, hasEnded) = (false, false)
        for await _ in body.demands where body.isAwaited {
            do {
                if !isPermitted { try await permit() }
                isPermitted = true
                let deadline = self.deadline()
                defer { deadline.cancel() }
                if let part = try await self.next(&parts) {
                    body.give(part)
                } else {
                    hasEnded = true
                    body.finish()
                }
            } catch {
                body.finish(throwing: error)
            }
        }
        return hasEnded
    }

    private func deadline() -> Scheduled<Void> {
        let channel = self.channel
        return channel.eventLoop.scheduleTask(in: .seconds(Int64(self.timeout))) {
            channel.pipeline.fireErrorCaught(Timeout())
        }
    }

    /// The next part, nil at the end.
    @concurrent
    private func next(_ parts: inout Parts) async throws -> ByteBuffer? {
        do {
            switch try await parts.next() {
            case .body(let bytes)?: return bytes
            case .end?: return nil
            case .head?: throw HTTPParserError.unknown
            case nil: throw Self.cutShort
            }
        } catch is Timeout {
            throw Problem.closing(.timeout, "the body did not arrive within \(self.timeout) s")
        } catch is IOError {
            throw Self.cutShort
        }
    }

    private static var cutShort: Problem {
        Problem.closing(.malformed, "the connection ended in the middle of the body")
    }
}
