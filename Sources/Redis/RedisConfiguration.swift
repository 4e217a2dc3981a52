internal import Domain
package import TransportSecurity

/// Where Redis is, and as which user and with which limits to connect.
package struct RedisConfiguration: Sendable, Hashable {
    /// The address of one server.
    package enum Endpoint: Sendable, Hashable {
        case tcp(host: String, port: Int)
        case unix(path: String)
    }

    /// How the master is found.
    package enum Topology: Sendable, Hashable {
        /// The endpoint is the master.
        case single
        /// The sentinels know the master of this name; the endpoint is the first of them.
        case sentinel(others: [Endpoint], master: String)
        /// Any node of the cluster knows the master of the slot of `hashTag`; the endpoint is the first of them.
        case cluster(others: [Endpoint], hashTag: String)
    }

    package var endpoint: Endpoint
    package var topology: Topology
    /// The password of the sentinels; nil when they have none.
    package var sentinelPassword: String?
    package var username: String?
    package var password: String?
    package var database: Int
    /// Nil means plain text.
    package var tls: TLSConfiguration?
    /// For name, connection, TLS and log-in, each.
    package var connectTimeout: Duration
    /// For a batch of commands, without the time that a slow link needs for its bytes.
    package var commandTimeout: Duration
    package var clientName: String
    /// Whether the server is a sentinel, which has no databases and no client names.
    var isSentinel = false

    /// Defaults to a single server, database 0, plain text and 3 s for each timeout; sets no password for sentinels and
    /// checks nothing.
    package init(
        endpoint: Endpoint, topology: Topology = .single, username: String? = nil, password: String? = nil,
        database: Int = 0, tls: TLSConfiguration? = nil, connectTimeout: Duration = .seconds(3),
        commandTimeout: Duration = .seconds(3), clientName: String = "orchestra"
    ) {
        self.endpoint = endpoint
        self.topology = topology
        self.username = username
        self.password = password
        self.database = database
        self.tls = tls
        self.connectTimeout = connectTimeout
        self.commandTimeout = commandTimeout
        self.clientName = clientName
    }

    /// The endpoints to try, in order.
    var knownEndpoints: [Endpoint] {
        switch self.topology {
        case .single: [self.endpoint]
        case .sentinel(let others, _), .cluster(let others, _): [self.endpoint] + others
        }
    }

    /// The configuration for the master that serves a hash tag; the same one without a cluster.
    package func serving(hashTag: String) -> RedisConfiguration {
        guard case .cluster(let others, _) = self.topology else { return self }
        var configuration = self
        configuration.topology = .cluster(others: others, hashTag: hashTag)
        return configuration
    }

    /// The configuration for the server at an endpoint, whatever its role.
    func direct(to endpoint: Endpoint) -> RedisConfiguration {
        var configuration = self
        configuration.endpoint = endpoint
        configuration.topology = .single
        if case .tcp(let host, _) = endpoint { configuration.tls?.serverName = host }
        return configuration
    }

    /// The endpoints without credentials, for logs.
    package var displayName: String {
        let scheme = self.tls == nil ? "redis" : "rediss"
        let hosts = self.knownEndpoints.map(\.text).joined(separator: ",")
        switch self.topology {
        case .single:
            if case .unix(let path) = self.endpoint { return "unix://\(path)" }
            return "\(scheme)://\(hosts)/\(self.database)"
        case .sentinel(_, let master): return "\(scheme)+sentinel://\(hosts)/\(master)/\(self.database)"
        case .cluster: return "\(scheme)+cluster://\(hosts)"
        }
    }
}

extension RedisConfiguration.Endpoint {
    var text: String {
        switch self {
        case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .unix(let path): path
        }
    }
}
