internal import Domain
package import Redis

/// Where the nodes serve their APIs to each other, in Redis: a record for each node that says so, which ends with the node.
package struct PeerAddresses: Sendable {
    private let client: RedisClient
    private let prefix: String
    private let proofKey: [UInt8]

    /// In the slot of the first lane of the queue, next to the credentials.
    package static let standardPrefix = "orc:{l0}:api:"
    /// The purpose for which the proof key is derived from the master key.
    package static let proofPurpose = "orchestra/api-address/1"

    private static let timeout = Duration.seconds(2)

    /// `prefix` begins the names of all keys; records are proved under `proofKey`.
    package init(client: RedisClient, prefix: String, proofKey: [UInt8]) {
        self.client = client
        self.prefix = prefix
        self.proofKey = proofKey
    }

    /// Stores the URL of a node for `PeerRecord.lifetime`. Throws when Redis does not answer.
    func publish(_ url: String, of node: String, at time: UInt64) async throws {
        let text = try PeerRecord(node: node, url: url, time: time).text(proofKey: self.proofKey)
        _ = try await self.client.send(
            RedisCommand("SET", self.prefix + node, text, "PX", String(PeerRecord.lifetime)), timeout: Self.timeout)
    }

    /// Removes the URL of a node. Throws when Redis does not answer; then the record ends by its lifetime.
    func withdraw(_ node: String) async throws {
        _ = try await self.client.send(RedisCommand("DEL", self.prefix + node), timeout: Self.timeout)
    }

    /// The URL of a node, nil when there is none that counts. Throws when Redis does not answer.
    func url(of node: String, at now: UInt64) async throws -> String? {
        let value = try await self.client.send(RedisCommand("GET", self.prefix + node), timeout: Self.timeout)
        guard let text = value.string else { return nil }
        return try PeerRecord(text, node: node, proofKey: self.proofKey, now: now)?.url
    }
}
