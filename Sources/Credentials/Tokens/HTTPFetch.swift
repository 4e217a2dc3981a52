internal import Domain
package import NIOCore
internal import NIOHTTP1
package import NIOPosix
package import TransportSecurity

/// Sends one request: no redirect, no proxy, no cookie, bounded in time and size.
package enum HTTPFetch {
    /// For the answer of a document.
    private static let timeout = TimeAmount.seconds(5)

    /// The document at a URL, of at most `limit` bytes. Throws as `send`, and `malformedDocument` for another status
    /// than 200.
    static func document(
        _ url: String, limit: Int, authorityFile: String?, group: MultiThreadedEventLoopGroup
    ) async throws -> [UInt8] {
        let answer = try await self.send(
            "GET", url, headers: [("accept", "application/json"), ("user-agent", "orchestra")], limit: limit,
            timeout: self.timeout, authorityFile: authorityFile, minimumVersion: .tls12, group: group)
        guard answer.status == 200 else {
            throw CredentialsError(
                code: .malformedDocument, message: "the document is refused: the answer has status \(answer.status)")
        }
        return answer.body
    }

    /// The answer of a URL within `timeout`, with a body of at most `limit` bytes. `https` is checked against the authorities
    /// of the file, or else the system's; plain `http` is for this machine only. Throws `CredentialsError` or what the
    /// connection throws; nothing stays open.
    package static func send(
        _ method: String, _ text: String, headers: [(name: String, value: String)], body: [UInt8] = [], limit: Int,
        timeout: TimeAmount, authorityFile: String?,
        minimumVersion: TLSConfiguration.Version = .tls13, group: MultiThreadedEventLoopGroup
    ) async throws -> HTTPAnswer {
        let target = try HTTPTarget(text)
        let promise = group.next().makePromise(of: HTTPAnswer.self)
        let channel: any Channel
        do {
            channel = try await target.connect(
                authorityFile: authorityFile, minimumVersion: minimumVersion, group: group
            ) { channel in
                try channel.pipeline.syncOperations.addHTTPClientHandlers()
                try channel.pipeline.syncOperations.addHandler(AnswerHandler(limit: limit, promise: promise))
                return channel
            }
        } catch {
            promise.fail(error)
            throw error
        }
        let deadline = channel.eventLoop.scheduleTask(in: timeout) {
            promise.fail(CredentialsError(code: .unreachable, message: "'\(text)' did not answer in time"))
        }
        let length = body.isEmpty ? [] : [(name: "content-length", value: String(body.count))]
        channel.write(HTTPClientRequestPart.head(target.head(method, headers + length)), promise: nil)
        if !body.isEmpty {
            channel.write(HTTPClientRequestPart.body(.byteBuffer(ByteBuffer(bytes: body))), promise: nil)
        }
        channel.writeAndFlush(HTTPClientRequestPart.end(nil), promise: nil)
        defer {
            deadline.cancel()
            channel.close(promise: nil)
        }
        return try await promise.futureResult.get()
    }
}
