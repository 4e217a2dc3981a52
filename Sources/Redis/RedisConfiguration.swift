internal import Domain
package import TransportSecurity

/// Where Redis is and who we are to it.
package struct RedisConfiguration: Sendable, Hashable {
    package enum Endpoint: Sendable, Hashable {
        case tcp(host: String, port: Int)
        case unix(path: String)
    }

    /// Who knows where the master is.
    package enum Topology: Sendable, Hashable {
        /// It is at the endpoint.
        case single
        /// These sentinels say where the master of this name is now; the endpoint is the first of them.
        case sentinel(others: [Endpoint], master: String)
        /// Any of these nodes says which master serves the slot of `hashTag`; the endpoint is the first of them.
        case cluster(others: [Endpoint], hashTag: String)
    }

    package var endpoint: Endpoint
    package var topology: Topology
    /// The password of the sentinels, where they have one.
    package var sentinelPassword: String?
    package var username: String?
    package var password: String?
    package var database: Int
    /// Nil means plain text.
    package var tls: TLSConfiguration?
    package var connectTimeout: Duration
    package var commandTimeout: Duration
    package var clientName: String
    /// A sentinel knows no databases and no client names.
    var isSentinel = false

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

    /// Reads `redis://`, `rediss://` and `unix://` URLs:
    /// `redis[s]://[user[:password]@]host[:port][/database]`, `unix://[user[:password]@]/path[?db=N]`,
    /// `redis[s]+sentinel://[user[:password]@]host[:port],…/master[/database]`,
    /// `redis[s]+cluster://[user[:password]@]host[:port],…`.
    /// Throws `RedisError.configuration` that says what was expected and never shows the password.
    package init(url: String) throws(RedisError) {
        guard let separator = url.firstRange(of: "://") else { throw Self.invalid("it has no scheme") }
        let scheme = url[..<separator.lowerBound].lowercased()
        var rest = url[separator.upperBound...]
        var username: String?
        var password: String?
        if let at = rest.lastIndex(of: "@") {
            let parts = rest[..<at].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            username = try parts.first.map(Self.decoded).flatMap { $0.isEmpty ? nil : $0 }
            if parts.count == 2 { password = try Self.decoded(parts[1]) }
            rest = rest[rest.index(after: at)...]
        }
        switch scheme {
        case "unix":
            let parts = rest.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
            guard let path = parts.first, path.hasPrefix("/") else {
                throw Self.invalid("a unix:// URL needs an absolute path")
            }
            guard path.utf8.count <= 107 else { throw Self.invalid("the socket's path is longer than 107 bytes") }
            var database = 0
            if parts.count == 2 {
                guard parts[1].hasPrefix("db=") else { throw Self.invalid("the only option of a unix:// URL is ?db=N") }
                database = try Self.database(parts[1].dropFirst(3))
            }
            self.init(endpoint: .unix(path: String(path)), username: username, password: password, database: database)
        case "redis", "rediss":
            let parts = rest.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
            let (host, port) = try Self.hostAndPort(parts.first ?? "")
            let database = parts.count == 2 && !parts[1].isEmpty ? try Self.database(parts[1]) : 0
            self.init(
                endpoint: .tcp(host: host, port: port), username: username, password: password, database: database,
                tls: scheme == "rediss" ? TLSConfiguration(serverName: host) : nil)
        case "redis+sentinel", "rediss+sentinel":
            let parts = rest.split(separator: "/", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count >= 2, !parts[1].isEmpty else {
                throw Self.invalid("a sentinel URL needs the master's name behind the sentinels")
            }
            let (first, others, host) = try Self.endpoints(parts[0], port: "26379")
            self.init(
                endpoint: first, topology: .sentinel(others: others, master: try Self.decoded(parts[1])),
                username: username, password: password,
                database: parts.count == 3 && !parts[2].isEmpty ? try Self.database(parts[2]) : 0,
                tls: scheme.hasPrefix("rediss") ? TLSConfiguration(serverName: host) : nil)
        case "redis+cluster", "rediss+cluster":
            let parts = rest.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count < 2 || parts[1].isEmpty else { throw Self.invalid("a cluster has no databases") }
            let (first, others, host) = try Self.endpoints(parts.first ?? "", port: "6379")
            self.init(
                endpoint: first, topology: .cluster(others: others, hashTag: ""), username: username,
                password: password, tls: scheme.hasPrefix("rediss") ? TLSConfiguration(serverName: host) : nil)
        default: throw Self.invalid("its scheme is '\(scheme)'")
        }
    }

    /// The endpoints that may be asked, the first one first.
    var knownEndpoints: [Endpoint] {
        switch self.topology {
        case .single: [self.endpoint]
        case .sentinel(let others, _), .cluster(let others, _): [self.endpoint] + others
        }
    }

    /// Aims at the master that serves a hash tag; nothing changes without a cluster.
    package func serving(hashTag: String) -> RedisConfiguration {
        guard case .cluster(let others, _) = self.topology else { return self }
        var configuration = self
        configuration.topology = .cluster(others: others, hashTag: hashTag)
        return configuration
    }

    /// The same for the server at an endpoint.
    func direct(to endpoint: Endpoint) -> RedisConfiguration {
        var configuration = self
        configuration.endpoint = endpoint
        configuration.topology = .single
        if case .tcp(let host, _) = endpoint { configuration.tls?.serverName = host }
        return configuration
    }

    /// The endpoint without credentials, fit for logs.
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

    private static func invalid(_ problem: String) -> RedisError {
        RedisError(
            code: .configuration,
            message:
                "the Redis URL cannot be used, \(problem): expected redis://host:port/db, rediss://host:port/db, unix:///path, redis+sentinel://host:port,…/master/db or redis+cluster://host:port,…"
        )
    }

    /// The first of a list, the others, and the first one's host.
    private static func endpoints(
        _ text: Substring, port: Substring
    ) throws(RedisError) -> (Endpoint, [Endpoint], host: String) {
        var endpoints: [Endpoint] = []
        var hosts: [String] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let (host, number) = try self.hostAndPort(part, port: port)
            endpoints.append(.tcp(host: host, port: number))
            hosts.append(host)
        }
        guard let first = endpoints.first, let host = hosts.first else { throw self.invalid("it has no host") }
        return (first, Array(endpoints.dropFirst()), host)
    }

    private static func hostAndPort(
        _ text: Substring, port: Substring = "6379"
    ) throws(RedisError) -> (String, Int) {
        var host = text
        var port = port
        if text.hasPrefix("[") {
            guard let end = text.firstIndex(of: "]") else { throw self.invalid("its IPv6 address has no ']'") }
            host = text[text.index(after: text.startIndex)..<end]
            let tail = text[text.index(after: end)...]
            if !tail.isEmpty {
                guard tail.hasPrefix(":") else { throw self.invalid("its port is not a number") }
                port = tail.dropFirst()
            }
        } else if let colon = text.lastIndex(of: ":") {
            host = text[..<colon]
            port = text[text.index(after: colon)...]
        }
        guard !host.isEmpty else { throw self.invalid("it has no host") }
        guard let number = Int(port), (1...65535).contains(number) else {
            throw self.invalid("its port is not a number from 1 to 65535")
        }
        return (String(host), number)
    }

    private static func database(_ text: Substring) throws(RedisError) -> Int {
        guard let number = Int(text), (0...1023).contains(number) else {
            throw self.invalid("its database is not a number from 0 to 1023")
        }
        return number
    }

    private static func decoded(_ text: Substring) throws(RedisError) -> String {
        var bytes: [UInt8] = []
        var iterator = text.utf8.makeIterator()
        while let byte = iterator.next() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = iterator.next(), let low = iterator.next(),
                let value = UInt8(String(decoding: [high, low], as: UTF8.self), radix: 16)
            else { throw self.invalid("its user information has a broken %-escape") }
            bytes.append(value)
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw self.invalid("its user information is not UTF-8")
        }
        return text
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
