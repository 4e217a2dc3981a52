import Domain
import Testing

@testable import Redis

@Suite("The facts of a Redis server")
struct RedisServerFactsTests {
    private func facts(_ lines: String...) throws -> RedisServerFacts {
        let replies = try lines.map { try reply("$\($0.utf8.count)\r\n\($0)\r\n") }
        return try RedisServerFacts(replies: replies, usesTLS: false)
    }

    @Test("a durable server of version 7 without eviction has no problem and no warning")
    func good() throws {
        let facts = try self.facts(
            "# Server\r\nredis_version:7.2.4\r\n", "maxmemory_policy:noeviction\r\n", "aof_enabled:1\r\n")
        #expect(facts.problems.isEmpty && facts.warnings.isEmpty)
        #expect(facts.version == "7.2.4" && facts.isAppendOnly)
    }

    @Test("a version before 7, which has no functions, is a problem", arguments: ["6.2.14", "5.0.0", "unknown"])
    func old(version: String) throws {
        let facts = try self.facts("redis_version:\(version)\r\nmaxmemory_policy:noeviction\r\n")
        #expect(facts.problems.count == 1 && facts.problems[0].contains("7.0"))
    }

    @Test("a policy that may evict jobs is a problem, with the command that corrects it")
    func eviction() throws {
        let facts = try self.facts("redis_version:8.0\r\nmaxmemory_policy:allkeys-lru\r\n")
        #expect(facts.problems.count == 1 && facts.problems[0].contains("CONFIG SET maxmemory-policy noeviction"))
    }

    @Test("a server without an append-only file is worth a warning")
    func memoryOnly() throws {
        let facts = try self.facts("redis_version:7.0\r\nmaxmemory_policy:noeviction\r\naof_enabled:0\r\n")
        #expect(facts.problems.isEmpty)
        #expect(facts.warnings.count == 1 && facts.warnings[0].contains("appendonly yes"))
    }

    @Test("an error reply is thrown, not read as facts")
    func refused() throws {
        let refusal = try reply("-NOPERM no\r\n")
        #expect(throws: RedisError.self) { try RedisServerFacts(replies: [refusal], usesTLS: true) }
    }
}
