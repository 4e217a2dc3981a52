/// The facts about a Redis server that decide whether it may hold jobs.
package struct RedisServerFacts: Sendable, Hashable {
    package let version: String
    package let evictionPolicy: String
    package let isAppendOnly: Bool
    package let usesTLS: Bool

    /// The oldest version that has functions (redis.io, `FUNCTION LOAD`: since 7.0).
    package static let oldestMajor = 7

    private static let commands: [RedisCommand] = [
        .info(section: "server"), .info(section: "memory"), .info(section: "persistence"),
    ]

    /// Sends `INFO`; throws as `RedisClient.pipeline`.
    package init(of client: RedisClient, timeout: Duration? = nil) async throws {
        let replies = try await client.pipeline(Self.commands, timeout: timeout)
        try self.init(replies: replies, usesTLS: client.configuration.tls != nil)
    }

    /// The same on one connection; throws as `RedisConnection.pipeline`.
    package init(of connection: RedisConnection, usesTLS: Bool, timeout: Duration = .seconds(5)) async throws {
        try self.init(replies: try await connection.pipeline(Self.commands, timeout: timeout), usesTLS: usesTLS)
    }

    init(replies: [RESPReply], usesTLS: Bool) throws {
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

    /// What must change before a node may use this Redis, as sentences; empty when it may.
    package var problems: [String] {
        var problems: [String] = []
        let major = self.version.prefix { $0 != "." }
        if (Int(major) ?? 0) < Self.oldestMajor {
            problems.append("Redis is version \(self.version); expected 7.0 or newer, which has functions")
        }
        if self.evictionPolicy != "noeviction" {
            problems.append(
                "the maxmemory-policy of Redis is \(self.evictionPolicy), which may evict accepted jobs; run: CONFIG SET maxmemory-policy noeviction"
            )
        }
        return problems
    }

    /// What the operator should change although the node can run.
    package var warnings: [String] {
        self.isAppendOnly
            ? [] : ["Redis has no append-only file, so its restart loses jobs; run: CONFIG SET appendonly yes"]
    }
}
