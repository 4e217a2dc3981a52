package import TransportSecurity

/// How the API is served, and to which clients.
package struct APIConfiguration: Sendable {
    /// The address that the API listens on.
    package enum Address: Sendable, Hashable {
        /// Port 0 lets the kernel choose.
        case tcp(host: String, port: Int)
        case unix(path: String)
    }

    /// A rate limit: at most so many requests in each period.
    package struct Rate: Sendable, Hashable {
        /// Requests in each period.
        package var count: Int
        /// Seconds.
        package var period: Int

        /// `count` requests in `period` seconds.
        package init(count: Int, period: Int) {
            self.count = count
            self.period = period
        }
    }

    package var address: Address
    /// Nil serves plain text, which is allowed on loopback and Unix sockets only.
    package var tls: TLSServerConfiguration?
    /// Names of this server that a request may have in `Host`, without a port; empty for any, where the server is not
    /// on loopback only.
    package var hosts: Set<String> = ["localhost", "127.0.0.1", "[::1]"]
    /// Origins of web pages that may call the API, as `https://host[:port]`, compared byte by byte.
    package var origins: Set<[UInt8]> = []
    /// Addresses that may send requests; empty for any.
    package var clients: [AddressRange] = []
    /// Proxies whose `X-Forwarded-For` is trusted.
    package var proxies: [AddressRange] = []
    package var workspaceRate = Rate(count: 60_000, period: 60)
    package var addressRate = Rate(count: 120_000, period: 60)
    /// The API's URL as clients see it; clients discover the issuer through it.
    package var publicURL: String?
    /// The URL at which other nodes reach this API, without a path; nil when they do not.
    package var advertisedURL: String?
    /// A PEM file of the authorities that the APIs of other nodes are checked against; nil means the system's.
    package var peerAuthorityFile: String?
    /// Issuers of tokens, for clients that discover them.
    package var issuers: [String] = []
    /// Where to report security problems, as `mailto:` or `https:`.
    package var securityContact: String?
    /// Bytes of a request's body.
    package var bodyLimit = 256 * 1024
    /// Bytes of an archive of a workspace's files, in either direction.
    package var archiveLimit = 1 << 30
    /// Seconds for a connection's handshake and first request line and headers.
    package var headTimeout = 10
    /// Seconds that a connection may be idle.
    package var idleTimeout = 30
    /// Seconds for a body to arrive, and for each part of an archive.
    package var bodyTimeout = 10
    /// Connections at once. When there are more, the one that has been idle longest is closed.
    package var connectionLimit = 2000
    /// Connections of one address at once: a quarter of all, so that a few addresses cannot take every place.
    package var addressConnectionLimit = 500
    /// Streams and WebSockets of one workspace at once; half of them for clients that may only watch.
    package var streamLimit = 32
    /// Streams and WebSockets of one agent at once, divided likewise. Its shim serves 32 connections, among them those of
    /// messages and of its node.
    package var agentStreamLimit = 8
    /// Milliseconds between two checks of an open stream's credential.
    package var recheckInterval = 1000

    /// Everything else has its default.
    package init(address: Address, tls: TLSServerConfiguration? = nil) {
        self.address = address
        self.tls = tls
    }

    /// Whether pages of an origin may call. Compares bytes: `==` of strings takes different spellings for equal.
    func allows(origin: String) -> Bool { self.origins.contains(Array(origin.utf8)) }
}
