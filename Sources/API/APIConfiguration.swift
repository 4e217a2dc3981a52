package import TransportSecurity

/// How the API is served and whom it serves.
package struct APIConfiguration: Sendable {
    package enum Address: Sendable, Hashable {
        /// Port 0 lets the kernel choose.
        case tcp(host: String, port: Int)
        case unix(path: String)
    }

    package struct Rate: Sendable, Hashable {
        /// Requests in each period.
        package var count: Int
        /// Seconds.
        package var period: Int

        package init(count: Int, period: Int) {
            self.count = count
            self.period = period
        }
    }

    package var address: Address
    /// Nil serves plain text, which is for this machine alone.
    package var tls: TLSServerConfiguration?
    /// Names that a request may call this server by, without a port; empty for any, where it is not on loopback only.
    package var hosts: Set<String> = ["localhost", "127.0.0.1", "[::1]"]
    /// Web pages that may call, as `https://host[:port]`, compared byte by byte.
    package var origins: Set<[UInt8]> = []
    /// From where requests may come; empty for anywhere.
    package var clients: [AddressRange] = []
    /// Whose `X-Forwarded-For` is believed.
    package var proxies: [AddressRange] = []
    package var workspaceRate = Rate(count: 60_000, period: 60)
    package var addressRate = Rate(count: 120_000, period: 60)
    /// What is given as the API's own URL; needed by clients that find the issuer through it.
    package var publicURL: String?
    /// Issuers of tokens, for clients that look for them.
    package var issuers: [String] = []
    /// `mailto:` or `https:` of who hears of security problems.
    package var securityContact: String?
    /// Bytes of a request's body.
    package var bodyLimit = 256 * 1024
    /// Seconds for a connection's handshake and first request line and headers.
    package var headTimeout = 10
    /// Seconds that a connection may rest.
    package var idleTimeout = 30
    /// Seconds for a body to arrive.
    package var bodyTimeout = 10
    package var connectionLimit = 2000
    /// Connections of one address at once.
    package var addressConnectionLimit = 500
    /// Streams and WebSockets of one workspace at once.
    package var streamLimit = 32
    /// Streams, WebSockets and messages of one agent at once: its shim serves some more, and its node among them.
    package var agentStreamLimit = 8
    /// Milliseconds between two looks whether an open stream's credential still holds.
    package var recheckInterval = 1000

    package init(address: Address, tls: TLSServerConfiguration? = nil) {
        self.address = address
        self.tls = tls
    }

    /// Byte by byte: `==` of texts takes some for equal that only look alike.
    func allows(origin: String) -> Bool { self.origins.contains(Array(origin.utf8)) }
}
