internal import Domain

/// An Ed25519 key that signs. It is never printed or encoded; `seed` is the only way out.
package final class SigningKey: Sendable {
    /// The 32 bytes from which the key is made; all who have them can sign.
    package let seed: [UInt8]
    /// The public key, 32 bytes.
    package let publicKey: [UInt8]
    private let handle: PrivateKeyHandle

    /// Takes exactly 32 bytes; throws `CryptographyError`: `invalidSize` otherwise.
    package init(seed: [UInt8]) throws(CryptographyError) {
        guard seed.count == 32 else {
            throw CryptographyError(code: .invalidSize, message: "a signing key has 32 bytes, not \(seed.count)")
        }
        let handle = try PrivateKeyHandle(ed25519: seed)
        self.seed = seed
        self.publicKey = try handle.publicBytes()
        self.handle = handle
    }

    /// Returns a fresh random key; throws `CryptographyError` when OpenSSL has no random bytes.
    package static func random() throws(CryptographyError) -> SigningKey {
        try SigningKey(seed: OpenSSL.random(count: 32))
    }

    /// Returns the signature of `message`, 64 bytes, which `SignatureKey.ed25519` checks; throws `CryptographyError` when
    /// OpenSSL fails.
    package func sign(_ message: [UInt8]) throws(CryptographyError) -> [UInt8] { try self.handle.sign(message) }
}
