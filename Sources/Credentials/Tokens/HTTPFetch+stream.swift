internal import Domain
package import NIOCore
internal import NIOHTTP1
package import NIOPosix
internal import TransportSecurity

extension HTTPFetch {
    /// Sends a request and hands its answer on part by part, within `time` as a whole. `body` gives the request's body part
    /// by part and none at its end; it is asked only once the server wants the body, and no more once the server has
    /// answered. `answered` gets status and headers, and then reads the rest. Throws `CredentialsError`, what the connection
    /// throws, and what the two throw; nothing stays open.
    @concurrent
    package static func stream<Value: Sendable>(
        _ method: String, _ text: String, headers: [(name: String, value: String)],
        body: (@Sendable () async throws -> [UInt8])?, within time: TimeAmount, authorityFile: String?,
        group: MultiThreadedEventLoopGroup,
        answered: @concurrent @Sendable (HTTPAnswer, inout HTTPAnswerParts) async throws -> Value
    ) async throws -> Value {
        let target = try HTTPTarget(text)
        let connection = try await target.connect(
            authorityFile: authorityFile, minimumVersion: .tls13, group: group
        ) { channel in
            let decoder = HTTPResponseDecoder(informationalResponseStrategy: .forward)
            try channel.pipeline.syncOperations.addHandlers([HTTPRequestEncoder(), ByteToMessageHandler(decoder)])
            return try NIOAsyncChannel<HTTPClientResponsePart, HTTPClientRequestPart>(
                wrappingChannelSynchronously: channel)
        }
        let channel = connection.channel
        let deadline = channel.eventLoop.scheduleTask(in: time) { channel.close(promise: nil) }
        defer { deadline.cancel() }
        return try await connection.executeThenClose { inbound, outbound in
            var parts = HTTPAnswerParts(inbound.makeAsyncIterator())
            let framing = body == nil ? [] : [("transfer-encoding", "chunked"), ("expect", "100-continue")]
            try await outbound.write(.head(target.head(method, headers + framing.map { (name: $0.0, value: $0.1) })))
            if body == nil { try await outbound.write(.end(nil)) }
            let first = try await parts.head()
            guard let body, first.status == 100 else { return try await answered(first, &parts) }
            return try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    do { try await self.send(body, outbound) } catch {
                        // Otherwise the server would wait for the rest.
                        channel.close(promise: nil)
                        throw error
                    }
                }
                defer { group.cancelAll() }
                let head: HTTPAnswer
                do { head = try await parts.head() } catch {
                    group.cancelAll()
                    // The connection may have ended because the body did.
                    do { try await group.waitForAll() } catch let cause where !(cause is CancellationError) {
                        throw cause
                    }
                    throw error
                }
                return try await answered(head, &parts)
            }
        }
    }

    private static func send(
        _ body: @Sendable () async throws -> [UInt8], _ outbound: NIOAsyncChannelOutboundWriter<HTTPClientRequestPart>
    ) async throws {
        while case let bytes = try await body(), !bytes.isEmpty {
            try await outbound.write(.body(.byteBuffer(ByteBuffer(bytes: bytes))))
        }
        try await outbound.write(.end(nil))
    }
}
