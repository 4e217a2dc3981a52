internal import COpenSSL
internal import Domain

/// The calls into libcrypto for digests and random bytes, and its algorithms. Those for ciphers and keys are in the types
/// that own one: `GCMContext`, `PublicKeyHandle` and `PrivateKeyHandle`. No pointer leaves these four files.
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
