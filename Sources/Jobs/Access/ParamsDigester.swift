internal import Cryptography

/// Computes the digests of params for the audit trail, under a key that is not stored with them.
package struct ParamsDigester: Sendable {
    private let key: [UInt8]

    /// Takes the bytes of the key; does not check their number.
    package init(key: [UInt8]) { self.key = key }

    /// Returns the HMAC-SHA-256 of params: the bytes of one JSON object as the submitter sent them, without surrounding
    /// white space. Throws `CryptographyError`.
    package func digest(_ params: [UInt8]) throws -> [UInt8] { try Digests.hmacSHA256(key: self.key, params) }
}
