internal import COpenSSL

/// A private Ed25519 key of OpenSSL's; immutable, and freed with its owner.
@safe
struct PrivateKeyHandle: ~Copyable, Sendable {
    /// The key's address, as in `PublicKeyHandle`.
    private let address: UInt

    private var key: OpaquePointer? { unsafe OpaquePointer(bitPattern: self.address) }

    deinit { unsafe EVP_PKEY_free(self.key) }

    init(ed25519 seed: [UInt8]) throws(CryptographyError) {
        guard let key = unsafe EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nil, seed, seed.count) else {
            throw OpenSSL.fail("load an Ed25519 key")
        }
        self.address = UInt(bitPattern: key)
    }

    borrowing func publicBytes() throws(CryptographyError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 32)
        var size = bytes.count
        guard unsafe EVP_PKEY_get_raw_public_key(self.key, &bytes, &size) == 1, size == 32 else {
            throw OpenSSL.fail("read an Ed25519 key")
        }
        return bytes
    }

    borrowing func sign(_ message: [UInt8]) throws(CryptographyError) -> [UInt8] {
        var signature = [UInt8](repeating: 0, count: 64)
        guard unsafe orc_sign(self.key, message, message.count, &signature, signature.count) == 1 else {
            throw OpenSSL.fail("sign with Ed25519")
        }
        return signature
    }
}
