internal import Domain
internal import Foundation
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix
internal import TransportSecurity

/// Fetches one small document: no redirect, no proxy, no cookie, bounded in time and size.
enum HTTPFetch {
    private static let timeout = TimeAmount.seconds(5)

    /// The body at a URL, of at most `limit` bytes. Throws `CredentialsError` or what the connection throws; nothing stays
    /// open.
    static func get(
        _ text: String, limit: Int, authorityFile: String?, group: MultiThreadedEventLoopGroup
    ) async throws -> [UInt8] {
        guard let url = URLComponents(string: text), let host = url.host, !host.isEmpty, url.user == nil else {
            // Not shown: it may contain a password.
            throw CredentialsError(
                code: .refusedURL,
                message: "the issuer's URL cannot be fetched: expected https://host/path, without a user")
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
        let promise = group.next().makePromise(of: [UInt8].self)
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
                                        serverName: name, authorityFile: authorityFile, minimumVersion: .tls12)))
                        }
                        try pipeline.addHTTPClientHandlers()
                        try pipeline.addHandler(DocumentHandler(limit: limit, promise: promise))
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
        let head = HTTPRequestHead(
            version: .http1_1, method: .GET, uri: path,
            headers: [
                "host": host + port, "accept": "application/json", "user-agent": "orchestra", "connection": "close",
            ])
        channel.write(HTTPClientRequestPart.head(head), promise: nil)
        channel.writeAndFlush(HTTPClientRequestPart.end(nil), promise: nil)
        defer {
            deadline.cancel()
            channel.close(promise: nil)
        }
        return try await promise.futureResult.get()
    }
}
