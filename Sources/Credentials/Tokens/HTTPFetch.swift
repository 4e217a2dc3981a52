internal import Domain
internal import Foundation
internal import NIOCore
internal import NIOHTTP1
package import NIOPosix
package import TransportSecurity

/// Sends one GET: no redirect, no proxy, no cookie, bounded in time and size.
package enum HTTPFetch {
    /// For the connection, and again for the answer.
    private static let timeout = TimeAmount.seconds(5)

    /// The document at a URL, of at most `limit` bytes. Throws as `get`, and `malformedDocument` for another status
    /// than 200.
    static func document(
        _ url: String, limit: Int, authorityFile: String?, group: MultiThreadedEventLoopGroup
    ) async throws -> [UInt8] {
        let answer = try await self.get(
            url, headers: [("accept", "application/json"), ("user-agent", "orchestra")], limit: limit,
            authorityFile: authorityFile, minimumVersion: .tls12, group: group)
        guard answer.status == 200 else {
            throw CredentialsError(
                code: .malformedDocument, message: "the document is refused: the answer has status \(answer.status)")
        }
        return answer.body
    }

    /// The answer of a URL, with a body of at most `limit` bytes. `https` is checked against the authorities of the file,
    /// or else the system's; plain `http` is for this machine only. Throws `CredentialsError` or what the connection
    /// throws; nothing stays open.
    package static func get(
        _ text: String, headers: [(name: String, value: String)], limit: Int, authorityFile: String?,
        minimumVersion: TLSConfiguration.Version = .tls13, group: MultiThreadedEventLoopGroup
    ) async throws -> HTTPAnswer {
        guard let url = URLComponents(string: text), let host = url.host, !host.isEmpty, url.user == nil else {
            // Not shown: it may contain a password.
            throw CredentialsError(
                code: .refusedURL,
                message: "the URL cannot be fetched: expected https://host/path, without a user")
        }
        let isSecure = url.scheme == "https"
        guard isSecure || (url.scheme == "http" && ["127.0.0.1", "::1", "[::1]", "localhost"].contains(host)) else {
            throw CredentialsError(
                code: .refusedURL, message: "'\(text)' is refused: expected https (plain http only on this machine)")
        }
        let name = host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : host
        let path =
            (url.percentEncodedPath.isEmpty ? "/" : url.percentEncodedPath)
            + (url.percentEncodedQuery.map { "?\($0)" } ?? "")
        let promise = group.next().makePromise(of: HTTPAnswer.self)
        let channel: any Channel
        do {
            channel = try await ClientBootstrap(group: group)
                .connectTimeout(Self.timeout)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        let pipeline = channel.pipeline.syncOperations
                        if isSecure {
                            try pipeline.addHandler(
                                try TLSClientHandler(
                                    configuration: TLSConfiguration(
                                        serverName: name, authorityFile: authorityFile, minimumVersion: minimumVersion))
                            )
                        }
                        try pipeline.addHTTPClientHandlers()
                        try pipeline.addHandler(AnswerHandler(limit: limit, promise: promise))
                    }
                }
                .connect(host: name, port: url.port ?? (isSecure ? 443 : 80)).get()
        } catch {
            promise.fail(error)
            throw error
        }
        let deadline = channel.eventLoop.scheduleTask(in: Self.timeout) {
            promise.fail(CredentialsError(code: .unreachable, message: "'\(text)' did not answer in time"))
        }
        let port = url.port.map { ":\($0)" } ?? ""
        let fields = [("host", host + port)] + headers.map { ($0.name, $0.value) } + [("connection", "close")]
        let head = HTTPRequestHead(version: .http1_1, method: .GET, uri: path, headers: HTTPHeaders(fields))
        channel.write(HTTPClientRequestPart.head(head), promise: nil)
        channel.writeAndFlush(HTTPClientRequestPart.end(nil), promise: nil)
        defer {
            deadline.cancel()
            channel.close(promise: nil)
        }
        return try await promise.futureResult.get()
    }
}
