internal import Cryptography
internal import Domain

/// Where a node serves its API, as it is stored for other nodes: `TIME URL PROOF`. Callers' credentials are sent there, so
/// a holder of the master key must have written it: write access to Redis alone is not enough.
struct PeerRecord: Hashable, Sendable {
    /// Milliseconds after which a record that was not renewed counts no more.
    static let lifetime: UInt64 = 60_000

    let node: String
    let url: String
    /// Milliseconds since the epoch by the queue's clock.
    let time: UInt64

    init(node: String, url: String, time: UInt64) {
        self.node = node
        self.url = url
        self.time = time
    }

    /// Reads the record of a node; nil when it is malformed, is another node's, has a wrong proof, or is too old. Throws
    /// when the proof cannot be computed.
    init?(_ text: String, node: String, proofKey: [UInt8], now: UInt64) throws {
        let parts = text.split(separator: " ", omittingEmptySubsequences: false)
        guard parts.count == 3, let time = UInt64(parts[0]), String(time) == parts[0] else { return nil }
        self.init(node: node, url: String(parts[1]), time: time)
        let age = now > time ? now - time : time - now
        guard Digests.areEqual(Array(parts[2].utf8), Array(try self.proof(proofKey).utf8)), age <= Self.lifetime else {
            return nil
        }
    }

    /// The record as it is stored. Throws when the proof cannot be computed.
    func text(proofKey: [UInt8]) throws -> String { "\(self.time) \(self.url) \(try self.proof(proofKey))" }

    private func proof(_ key: [UInt8]) throws -> String {
        Hexadecimal.text(of: try Digests.hmacSHA256(key: key, Array("\(self.node) \(self.time) \(self.url)".utf8)))
    }
}
