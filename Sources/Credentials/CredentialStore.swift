internal import Cryptography
package import Domain
internal import NIOCore
package import Redis

/// API keys and denials in Redis, where all nodes see them.
///
/// An epoch rises with every change: nodes poll it each second and forget what they remember when it rose.
package struct CredentialStore: Sendable {
    private let client: RedisClient
    private let prefix: String
    private let proofKey: [UInt8]

    /// In the slot of the first lane of the queue, so that one connection reaches both.
    package static let standardPrefix = "orc:{l0}:auth:"
    /// The purpose for which the proof key is derived from the master key.
    package static let proofPurpose = "orchestra/key-record/1"

    /// `prefix` begins the names of all keys. An HMAC under `proofKey` proves that a record was made by a holder of the
    /// master key: write access to Redis alone cannot make or widen a record, only restore an earlier one.
    package init(client: RedisClient, prefix: String, proofKey: [UInt8]) {
        self.client = client
        self.prefix = prefix
        self.proofKey = proofKey
    }

    private var index: String { self.prefix + "keys" }
    private var epochKey: String { self.prefix + "epoch" }
    private var denials: String { self.prefix + "denied" }
    private func key(_ id: String) -> String { self.prefix + "key:" + id }

    /// The record of a key; nil when there is none, or one that is malformed or has a wrong proof. Throws when Redis does
    /// not answer.
    package func record(_ id: String) async throws -> KeyRecord? {
        let fields = try await self.hash(self.key(id))
        guard let record = KeyRecord(id: id, fields: fields), let proof = fields["proof"],
            Digests.areEqual(Array(proof.utf8), Array(try self.proof(of: record).utf8))
        else { return nil }
        return record
    }

    private func proof(of record: KeyRecord) throws -> String {
        Hexadecimal.text(of: try Digests.hmacSHA256(key: self.proofKey, record.proven))
    }

    /// Every key of a workspace, or of all, oldest first.
    package func records(of workspace: WorkspaceID?) async throws -> [KeyRecord] {
        let ids = try await self.client.send(RedisCommand("ZRANGE", self.index, "0", "-1")).elements
        var records: [KeyRecord] = []
        for id in ids {
            guard let record = try await self.record(String(decoding: id.bytes, as: UTF8.self)),
                workspace ?? record.workspace == record.workspace
            else { continue }
            records.append(record)
        }
        return records
    }

    /// Stores a new key and raises the epoch.
    package func add(_ record: KeyRecord) async throws { try await self.put(record) }

    /// Revokes a key for good and raises the epoch.
    package func revoke(_ record: KeyRecord, at time: UInt64) async throws {
        var record = record
        record.revokedAt = time
        try await self.put(record)
    }

    private func put(_ record: KeyRecord) async throws {
        var call = RedisCommand.functionCall(Self.functions.put, key: self.index, capacity: 512)
        call.append(self.key(record.id))
        call.append(self.epochKey)
        call.append(record.id)
        call.append(record.createdAt)
        for (name, value) in record.fields + [("proof", try self.proof(of: record))] {
            call.append(name)
            call.append(value)
        }
        try await self.call(call)
    }

    /// Stores the same secret under other parameters, with its checksum.
    func replaceHash(of record: KeyRecord, with hash: String, checksum: String) async throws {
        var record = record
        record.hash = hash
        record.checksum = checksum
        let proof = try self.proof(of: record)
        try await self.send([
            RedisCommand("HSET", self.key(record.id), "hash", hash, "check", checksum, "proof", proof)
        ])
    }

    /// Stores the time of use, in milliseconds since the epoch.
    func noteUse(_ id: String, at time: UInt64) async throws {
        try await self.send([RedisCommand("HSET", self.key(id), "used", String(time))])
    }

    /// Stores a denial and deletes those that are over. `now` is in seconds since the epoch.
    package func deny(_ denial: TokenDenial, now: UInt64) async throws {
        var call = RedisCommand.functionCall(Self.functions.deny, key: self.denials)
        call.append(self.epochKey)
        call.append(denial.field)
        call.append(denial.value)
        call.append(now)
        try await self.call(call)
    }

    /// All denials, those that are over included.
    package func allDenials() async throws -> [TokenDenial] {
        try await self.hash(self.denials).compactMap { TokenDenial(field: $0.key, value: $0.value) }
    }

    /// How often something was changed; 0 before the first change.
    func epoch() async throws -> UInt64 {
        let reply = try await self.client.send(RedisCommand("GET", self.epochKey), timeout: .seconds(2))
        return reply.isNull ? 0 : UInt64(String(decoding: reply.bytes, as: UTF8.self)) ?? 0
    }

    private func call(_ call: RedisCommand) async throws {
        for reply in try await Self.functions.library.call([call], on: self.client) { _ = try reply.checked() }
    }

    private static let functions = Functions()

    private func hash(_ name: String) async throws -> [String: String] {
        let parts = try await self.client.send(RedisCommand("HGETALL", name)).elements
        var fields: [String: String] = [:]
        for index in stride(from: 0, to: parts.count - 1, by: 2) {
            fields[String(decoding: parts[index].bytes, as: UTF8.self)] =
                String(decoding: parts[index + 1].bytes, as: UTF8.self)
        }
        return fields
    }

    private func send(_ commands: [RedisCommand]) async throws {
        for reply in try await self.client.pipeline(commands) { _ = try reply.checked() }
    }
}
