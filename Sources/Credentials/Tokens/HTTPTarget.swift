internal import Domain
internal import Foundation
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix
internal import TransportSecurity

/// Where a request of this node goes: a server and a path on it.
struct HTTPTarget: Sendable {
    private let name: String
    private let port: Int
    private let path: String
    /// The value of the header `Host`.
    private let host: String
    private let isSecure: Bool

    private static let connectTimeout = TimeAmount.seconds(5)

    /// Throws `refusedURL` for what is not an `https` URL without a user; plain `http` is for this machine only.
    init(_ text: String) throws {
        guard let url = URLComponents(string: text), let host = url.host, !host.isEmpty, url.user == nil else {
            // Not shown: it may contain a password.
            throw CredentialsError(
                code: .refusedURL,
                message: "the URL cannot be fetched: expected https://host/path, without a user")
        }
        self.isSecure = url.scheme == "https"
        guard
            self.isSecure || (url.scheme == "http" && ["127.0.0.1", "::1", "[::1]", "localhost"].contains(host))
        else {
            throw CredentialsError(
                code: .refusedURL, message: "'\(text)' is refused: expected https (plain http only on this machine)")
        }
        self.name = host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : host
        self.port = url.port ?? (self.isSecure ? 443 : 80)
        self.path =
            (url.percentEncodedPath.isEmpty ? "/" : url.percentEncodedPath)
            + (url.percentEncodedQuery.map { "?\($0)" } ?? "")
        self.host = host + (url.port.map { ":\($0)" } ?? "")
    }

    /// A connection to the server, checked against the authorities of the file or else the system's; `setup` adds what
    /// follows TLS. Throws what the connection throws; nothing stays open then.
    func connect<Value: Sendable>(
        authorityFile: String?, minimumVersion: TLSConfiguration.Version, group: MultiThreadedEventLoopGroup,
        setup: @escaping @Sendable (any Channel) throws -> Value
    ) async throws -> Value {
        let (isSecure, name) = (self.isSecure, self.name)
        return try await ClientBootstrap(group: group).connectTimeout(Self.connectTimeout)
            .connect(host: name, port: self.port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    if isSecure {
                        let configuration = TLSConfiguration(
                            serverName: name, authorityFile: authorityFile, minimumVersion: minimumVersion)
                        try channel.pipeline.syncOperations.addHandler(
                            try TLSClientHandler(configuration: configuration))
                    }
                    return try setup(channel)
                }
            }
    }

    /// The head of a request that is its connection's only one.
    func head(_ method: String, _ headers: [(name: String, value: String)]) -> HTTPRequestHead {
        let fields = [("host", self.host)] + headers.map { ($0.name, $0.value) } + [("connection", "close")]
        return HTTPRequestHead(
            version: .http1_1, method: HTTPMethod(rawValue: method), uri: self.path, headers: HTTPHeaders(fields))
    }
}
