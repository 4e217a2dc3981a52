/// What a Redis says of itself that decides whether it may hold jobs.
package struct RedisServerFacts: Sendable, Hashable {
    package let version: String
    package let evictionPolicy: String
    package let isAppendOnly: Bool
    package let usesTLS: Bool

    /// The oldest version that has functions (redis.io, `FUNCTION LOAD`: since 7.0).
    package static let oldestMajor = 7

    private static let questions: [RedisCommand] = [
        .info(section: "server"), .info(section: "memory"), .info(section: "persistence"),
    ]

    /// Asks `INFO`; throws what `RedisClient.pipeline` throws.
    package init(of client: RedisClient, timeout: Duration? = nil) async throws {
        let replies = try await client.pipeline(Self.questions, timeout: timeout)
        try self.init(replies: replies, usesTLS: client.configuration.tls != nil)
    }

    /// The same over one connection.
    package init(of connection: RedisConnection, usesTLS: Bool, timeout: Duration = .seconds(5)) async throws {
        try self.init(replies: try await connection.pipeline(Self.questions, timeout: timeout), usesTLS: usesTLS)
    }

    private init(replies: [RESPReply], usesTLS: Bool) throws {
        var fields: [Substring: Substring] = [:]
        for reply in replies {
            let text = String(decoding: try reply.checked().bytes, as: UTF8.self)
            for line in text.split(whereSeparator: \.isNewline) {
                let parts = line.split(separator: ":", maxSplits: 1)
                if parts.count == 2 { fields[parts[0]] = parts[1] }
            }
        }
        self.version = String(fields["redis_version"] ?? "unknown")
        self.evictionPolicy = String(fields["maxmemory_policy"] ?? "unknown")
        self.isAppendOnly = fields["aof_enabled"] == "1"
        self.usesTLS = usesTLS
    }

    /// What must change before a node may use this Redis; empty when nothing must.
    package var problems: [String] {
        var problems: [String] = []
        let major = self.version.prefix { $0 != "." }
        if (Int(major) ?? 0) < Self.oldestMajor {
            problems.append("Redis is version \(self.version); expected 7.0 or newer, which has functions")
        }
        if self.evictionPolicy != "noeviction" {
            problems.append(
                "Redis' maxmemory-policy is \(self.evictionPolicy), which may evict accepted jobs; run: CONFIG SET maxmemory-policy noeviction"
            )
        }
        return problems
    }

    /// What is worth a warning though the node can run.
    package var warnings: [String] {
        self.isAppendOnly
            ? [] : ["Redis keeps no append-only file, so its restart loses jobs; run: CONFIG SET appendonly yes"]
    }
}
