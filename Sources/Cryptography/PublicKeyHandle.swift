internal import COpenSSL

/// A public key of OpenSSL's; immutable, and freed with its owner.
@safe
struct PublicKeyHandle: ~Copyable, Sendable {
    /// The key's address: OpenSSL's keys may be used by many threads, which Swift cannot know of a pointer.
    private let address: UInt

    private init(_ key: OpaquePointer) { self.address = UInt(bitPattern: key) }

    private var key: OpaquePointer? { unsafe OpaquePointer(bitPattern: self.address) }

    deinit { unsafe EVP_PKEY_free(self.key) }

    static func rsa(_ modulus: [UInt8], _ exponent: [UInt8]) -> PublicKeyHandle? {
        let key = unsafe orc_rsa_public_key(modulus, Int32(modulus.count), exponent, Int32(exponent.count))
        return unsafe self.made(key)
    }

    static func p256(_ point: [UInt8]) -> PublicKeyHandle? {
        guard point.count == 65 else { return nil }
        return unsafe self.made(orc_p256_public_key(point))
    }

    static func ed25519(_ bytes: [UInt8]) -> PublicKeyHandle? {
        unsafe self.made(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nil, bytes, bytes.count))
    }

    private static func made(_ key: OpaquePointer?) -> PublicKeyHandle? {
        ERR_clear_error()
        guard let key = unsafe key else { return nil }
        return unsafe PublicKeyHandle(key)
    }

    var bits: Int { Int(unsafe orc_key_bits(self.key)) }

    borrowing func verify(_ signature: [UInt8], _ message: [UInt8], as algorithm: SignatureKey.Algorithm) -> Bool {
        defer { ERR_clear_error() }
        switch algorithm {
        case .rs256:
            return unsafe orc_verify(
                self.key, EVP_sha256(), signature, signature.count, message, message.count) == 1
        case .es256:
            return unsafe signature.count == 64
                && orc_verify_p256(self.key, signature, message, message.count) == 1
        case .edDSA:
            return unsafe orc_verify(self.key, nil, signature, signature.count, message, message.count) == 1
        }
    }
}
