internal import Cryptography

/// Digests params for audit rows under a key that is not stored with them.
package struct ParamsDigester: Sendable {
    private let key: [UInt8]

    package init(key: [UInt8]) { self.key = key }

    /// HMAC-SHA-256 of the bytes of the params as the submitter sent them: one JSON object, without the white space around
    /// it. Throws `CryptographyError`.
    package func digest(_ params: [UInt8]) throws -> [UInt8] { try Digests.hmacSHA256(key: self.key, params) }
}
