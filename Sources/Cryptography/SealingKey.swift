internal import Domain

/// A 256-bit key for AES-256-GCM. It is never printed, encoded or compared in variable time.
package struct SealingKey: Sendable {
    private let bytes: [UInt8]

    /// Takes exactly 32 bytes; throws `invalidSize` otherwise.
    package init(bytes: [UInt8]) throws(CryptographyError) {
        guard bytes.count == 32 else {
            throw CryptographyError(code: .invalidSize, message: "a sealing key has 32 bytes, not \(bytes.count)")
        }
        self.bytes = bytes
    }

    /// A fresh random key.
    package static func random() throws(CryptographyError) -> SealingKey {
        try SealingKey(bytes: OpenSSL.random(count: 32))
    }

    /// Nonce (12 bytes), ciphertext and tag (16 bytes). The nonce is random: at 2^32 messages a key the
    /// chance of a repeat is below 2^-32 (NIST SP 800-38D §8.3), and keys are per workspace.
    package func seal(_ plaintext: [UInt8], authenticating associated: [UInt8]) throws(CryptographyError) -> [UInt8] {
        let nonce = try OpenSSL.random(count: 12)
        let context = try GCMContext(key: self.bytes, isSealing: true)
        return nonce + (try context.process(nonce: nonce, associated: associated, input: plaintext[...], tag: []))
    }

    /// Undoes `seal`; throws `authenticationFailed` when the bytes, the associated data or the key differ.
    package func open(
        _ sealed: ArraySlice<UInt8>, authenticating associated: [UInt8]
    ) throws(CryptographyError) -> [UInt8] {
        guard sealed.count >= 28 else {
            throw CryptographyError(code: .authenticationFailed, message: "the sealed bytes are cut short")
        }
        let context = try GCMContext(key: self.bytes, isSealing: false)
        return try context.process(
            nonce: Array(sealed.prefix(12)), associated: associated, input: sealed.dropFirst(12).dropLast(16),
            tag: Array(sealed.suffix(16)))
    }

    /// Seals this key under `master`, bound to `context` so that it cannot be moved elsewhere.
    package func wrapped(by master: SealingKey, context: [UInt8]) throws(CryptographyError) -> [UInt8] {
        try master.seal(self.bytes, authenticating: context)
    }

    /// Undoes `wrapped(by:context:)`.
    package init(
        unwrapping wrapped: [UInt8], by master: SealingKey, context: [UInt8]
    ) throws(CryptographyError) {
        try self.init(bytes: master.open(wrapped[...], authenticating: context))
    }

    /// A key for another purpose derived from this one: HMAC-SHA-256 of the purpose's name.
    package func derived(for purpose: String) throws(CryptographyError) -> [UInt8] {
        try OpenSSL.hmacSHA256(key: self.bytes, Array(purpose.utf8))
    }
}
