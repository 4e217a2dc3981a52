internal import COpenSSL
internal import Domain

/// Every call into libcrypto for digests, random bytes and authenticated encryption; nothing else in
/// the project touches it, and no pointer leaves this file.
enum OpenSSL {
    static func fail(_ operation: String) -> CryptographyError {
        let code = ERR_get_error()
        ERR_clear_error()
        var text = [CChar](repeating: 0, count: 256)
        unsafe text.withUnsafeMutableBufferPointer { buffer in
            if let base = buffer.baseAddress { unsafe ERR_error_string_n(code, base, 256) }
        }
        let reason = String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return CryptographyError(code: .libraryFailure, message: "OpenSSL could not \(operation): \(reason)")
    }

    static func random(count: Int) throws(CryptographyError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        let result = unsafe bytes.withUnsafeMutableBufferPointer { buffer in
            unsafe RAND_bytes(buffer.baseAddress, Int32(count))
        }
        guard result == 1 else { throw self.fail("make random bytes") }
        return bytes
    }

    /// The algorithms, looked up once: by the names of the library's own constants it looks them up in each call, with locks
    /// and comparisons of text. They are kept for the life of the process; the addresses are of immutable objects that many
    /// threads may use, which Swift cannot know of a pointer.
    private static let sha256Address = unsafe UInt(bitPattern: EVP_MD_fetch(nil, "SHA256", nil))
    private static let gcmAddress = unsafe UInt(bitPattern: EVP_CIPHER_fetch(nil, "AES-256-GCM", nil))

    /// SHA-256; the library's constant where it could not be looked up.
    private static var sha256Algorithm: OpaquePointer? {
        unsafe OpaquePointer(bitPattern: self.sha256Address) ?? EVP_sha256()
    }

    /// AES-256-GCM; the library's constant where it could not be looked up.
    static var gcmAlgorithm: OpaquePointer? {
        unsafe OpaquePointer(bitPattern: self.gcmAddress) ?? EVP_aes_256_gcm()
    }

    static func sha256(_ bytes: ArraySlice<UInt8>) throws(CryptographyError) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: 32)
        let result = unsafe bytes.withUnsafeBufferPointer { input in
            unsafe digest.withUnsafeMutableBufferPointer { output in
                unsafe EVP_Digest(
                    input.baseAddress, input.count, output.baseAddress, nil, self.sha256Algorithm, nil)
            }
        }
        guard result == 1 else { throw self.fail("digest with SHA-256") }
        return digest
    }

    static func hmacSHA256(key: [UInt8], _ bytes: [UInt8]) throws(CryptographyError) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: 32)
        let isDone = unsafe key.withUnsafeBufferPointer { key in
            unsafe bytes.withUnsafeBufferPointer { input in
                unsafe digest.withUnsafeMutableBufferPointer { output in
                    unsafe orc_hmac(
                        self.sha256Algorithm, key.baseAddress, Int32(key.count), input.baseAddress, input.count,
                        output.baseAddress) == 1
                }
            }
        }
        guard isDone else { throw self.fail("compute an HMAC") }
        return digest
    }

    static func areEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        guard left.count == right.count else { return false }
        return unsafe left.withUnsafeBytes { left in
            unsafe right.withUnsafeBytes { right in
                guard let one = left.baseAddress, let two = right.baseAddress else { return true }
                return unsafe CRYPTO_memcmp(one, two, left.count) == 0
            }
        }
    }
}

/// An AES-256-GCM context with its key loaded; freed with its owner.
@safe
struct GCMContext: ~Copyable {
    private let context: OpaquePointer
    private let isSealing: Bool

    init(key: [UInt8], isSealing: Bool) throws(CryptographyError) {
        guard let context = unsafe EVP_CIPHER_CTX_new() else { throw OpenSSL.fail("allocate a cipher") }
        let result = unsafe key.withUnsafeBufferPointer { key in
            unsafe EVP_CipherInit_ex(context, OpenSSL.gcmAlgorithm, nil, key.baseAddress, nil, isSealing ? 1 : 0)
        }
        guard result == 1 else {
            unsafe EVP_CIPHER_CTX_free(context)
            throw OpenSSL.fail("load an AES-256-GCM key")
        }
        unsafe self.context = context
        self.isSealing = isSealing
    }

    deinit { unsafe EVP_CIPHER_CTX_free(self.context) }

    /// Encrypts or decrypts `input`; when sealing, the 16-byte tag is appended; when opening it must be
    /// given, and a mismatch throws `authenticationFailed`.
    borrowing func process(
        nonce: [UInt8], associated: [UInt8], input: ArraySlice<UInt8>, tag: [UInt8]
    ) throws(CryptographyError) -> [UInt8] {
        var output = [UInt8](repeating: 0, count: input.count + (self.isSealing ? 16 : 0))
        var tag = tag
        let context = unsafe self.context
        let isSealing = self.isSealing
        let stage: Int = unsafe nonce.withUnsafeBufferPointer { nonce in
            unsafe associated.withUnsafeBufferPointer { associated in
                unsafe input.withUnsafeBufferPointer { input in
                    unsafe output.withUnsafeMutableBufferPointer { output in
                        unsafe tag.withUnsafeMutableBufferPointer { tag in
                            var length: Int32 = 0
                            guard unsafe EVP_CipherInit_ex(context, nil, nil, nil, nonce.baseAddress, -1) == 1 else {
                                return 0
                            }
                            if !isSealing, unsafe orc_gcm_set_tag(context, tag.baseAddress) != 1 { return 0 }
                            if associated.count > 0,
                                unsafe EVP_CipherUpdate(
                                    context, nil, &length, associated.baseAddress, Int32(associated.count)) != 1
                            {
                                return 0
                            }
                            if input.count > 0,
                                unsafe EVP_CipherUpdate(
                                    context, output.baseAddress, &length, input.baseAddress, Int32(input.count)) != 1
                            {
                                return 0
                            }
                            var rest = [UInt8](repeating: 0, count: 16)
                            guard unsafe EVP_CipherFinal_ex(context, &rest, &length) == 1 else { return 1 }
                            if isSealing, let base = output.baseAddress,
                                unsafe orc_gcm_get_tag(context, base + input.count) != 1
                            {
                                return 0
                            }
                            return 2
                        }
                    }
                }
            }
        }
        if stage == 2 { return output }
        ERR_clear_error()
        if stage == 1, !self.isSealing {
            throw CryptographyError(code: .authenticationFailed, message: "the sealed bytes are not authentic")
        }
        throw OpenSSL.fail("run AES-256-GCM")
    }
}

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
