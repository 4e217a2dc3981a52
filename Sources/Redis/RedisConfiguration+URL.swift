internal import Domain
internal import TransportSecurity

/// Reading of URLs.
extension RedisConfiguration {
    /// Reads `redis://`, `rediss://` and `unix://` URLs:
    /// `redis[s]://[user[:password]@]host[:port][/database]`, `unix://[user[:password]@]/path[?db=N]`,
    /// `redis[s]+sentinel://[user[:password]@]host[:port],…/master[/database]`,
    /// `redis[s]+cluster://[user[:password]@]host[:port],…`.
    /// Throws `RedisError.configuration` that says what was expected and never contains the password.
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
        case "unix": self = try Self.socket(rest)
        case "redis", "rediss": self = try Self.server(rest)
        case "redis+sentinel", "rediss+sentinel": self = try Self.sentinels(rest)
        case "redis+cluster", "rediss+cluster": self = try Self.cluster(rest)
        default: throw Self.invalid("its scheme is '\(scheme)'")
        }
        self.username = username
        self.password = password
        if scheme.hasPrefix("rediss"), case .tcp(let host, _) = self.endpoint {
            self.tls = TLSConfiguration(serverName: host)
        }
    }

    private static func socket(_ text: Substring) throws(RedisError) -> RedisConfiguration {
        let parts = text.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        guard let path = parts.first, path.hasPrefix("/") else {
            throw self.invalid("a unix:// URL needs an absolute path")
        }
        guard path.utf8.count <= 107 else { throw self.invalid("the path of the socket is longer than 107 bytes") }
        var configuration = RedisConfiguration(endpoint: .unix(path: String(path)))
        if parts.count == 2 {
            guard parts[1].hasPrefix("db=") else { throw self.invalid("the only option of a unix:// URL is ?db=N") }
            configuration.database = try self.database(parts[1].dropFirst(3))
        }
        return configuration
    }

    private static func server(_ text: Substring) throws(RedisError) -> RedisConfiguration {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        let (host, port) = try self.hostAndPort(parts.first ?? "", port: "6379")
        var configuration = RedisConfiguration(endpoint: .tcp(host: host, port: port))
        if parts.count == 2, !parts[1].isEmpty { configuration.database = try self.database(parts[1]) }
        return configuration
    }

    private static func sentinels(_ text: Substring) throws(RedisError) -> RedisConfiguration {
        let parts = text.split(separator: "/", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count >= 2, !parts[1].isEmpty else {
            throw self.invalid("a sentinel URL needs the name of the master after the sentinels")
        }
        let (first, others) = try self.endpoints(parts[0], port: "26379")
        var configuration = RedisConfiguration(
            endpoint: first, topology: .sentinel(others: others, master: try self.decoded(parts[1])))
        if parts.count == 3, !parts[2].isEmpty { configuration.database = try self.database(parts[2]) }
        return configuration
    }

    private static func cluster(_ text: Substring) throws(RedisError) -> RedisConfiguration {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count < 2 || parts[1].isEmpty else { throw self.invalid("a cluster has no databases") }
        let (first, others) = try self.endpoints(parts.first ?? "", port: "6379")
        return RedisConfiguration(endpoint: first, topology: .cluster(others: others, hashTag: ""))
    }

    private static func invalid(_ problem: String) -> RedisError {
        RedisError(
            code: .configuration,
            message:
                "the Redis URL cannot be used, \(problem): expected redis://host:port/db, rediss://host:port/db, unix:///path, redis+sentinel://host:port,…/master/db or redis+cluster://host:port,…"
        )
    }

    /// The first endpoint of a list, and the others.
    private static func endpoints(
        _ text: Substring, port: Substring
    ) throws(RedisError) -> (Endpoint, [Endpoint]) {
        var endpoints: [Endpoint] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let (host, number) = try self.hostAndPort(part, port: port)
            endpoints.append(.tcp(host: host, port: number))
        }
        guard let first = endpoints.first else { throw self.invalid("it has no host") }
        return (first, Array(endpoints.dropFirst()))
    }

    private static func hostAndPort(
        _ text: Substring, port: Substring
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
