/// Digests and random bytes by the system's OpenSSL.
package enum Digests {
    /// Returns the SHA-256 digest, 32 bytes; throws `CryptographyError` when OpenSSL fails.
    package static func sha256(_ bytes: [UInt8]) throws(CryptographyError) -> [UInt8] {
        try OpenSSL.sha256(bytes[...])
    }

    /// Returns the SHA-256 digest, 32 bytes; throws `CryptographyError` when OpenSSL fails.
    package static func sha256(_ bytes: ArraySlice<UInt8>) throws(CryptographyError) -> [UInt8] {
        try OpenSSL.sha256(bytes)
    }

    /// Returns the HMAC with SHA-256, 32 bytes; throws `CryptographyError` when OpenSSL fails.
    package static func hmacSHA256(key: [UInt8], _ bytes: [UInt8]) throws(CryptographyError) -> [UInt8] {
        try OpenSSL.hmacSHA256(key: key, bytes)
    }

    /// Compares in time that depends on the length alone.
    package static func areEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool { OpenSSL.areEqual(left, right) }

    /// Returns `count` bytes of OpenSSL's random generator; throws `CryptographyError` when it has none.
    package static func randomBytes(count: Int) throws(CryptographyError) -> [UInt8] {
        try OpenSSL.random(count: count)
    }
}
