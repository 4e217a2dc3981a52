package import TransportSecurity

/// Where Redis is and who we are to it.
package struct RedisConfiguration: Sendable, Hashable {
    package enum Endpoint: Sendable, Hashable {
        case tcp(host: String, port: Int)
        case unix(path: String)
    }

    package var endpoint: Endpoint
    package var username: String?
    package var password: String?
    package var database: Int
    /// Nil means plain text.
    package var tls: TLSConfiguration?
    package var connectTimeout: Duration
    package var commandTimeout: Duration
    package var clientName: String

    package init(
        endpoint: Endpoint, username: String? = nil, password: String? = nil, database: Int = 0,
        tls: TLSConfiguration? = nil, connectTimeout: Duration = .seconds(5), commandTimeout: Duration = .seconds(5),
        clientName: String = "orchestra"
    ) {
        self.endpoint = endpoint
        self.username = username
        self.password = password
        self.database = database
        self.tls = tls
        self.connectTimeout = connectTimeout
        self.commandTimeout = commandTimeout
        self.clientName = clientName
    }

    /// Reads `redis://`, `rediss://` and `unix://` URLs:
    /// `redis[s]://[user[:password]@]host[:port][/database]`, `unix://[user[:password]@]/path[?db=N]`.
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
        default: throw Self.invalid("its scheme is '\(scheme)'")
        }
    }

    /// The endpoint without credentials, fit for logs.
    package var displayName: String {
        switch self.endpoint {
        case .tcp(let host, let port): "\(self.tls == nil ? "redis" : "rediss")://\(host):\(port)/\(self.database)"
        case .unix(let path): "unix://\(path)"
        }
    }

    private static func invalid(_ problem: String) -> RedisError {
        RedisError(
            code: .configuration,
            message:
                "the Redis URL cannot be used, \(problem): expected redis://host:port/db, rediss://host:port/db or unix:///path"
        )
    }

    private static func hostAndPort(_ text: Substring) throws(RedisError) -> (String, Int) {
        var host = text
        var port = "6379"[...]
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
