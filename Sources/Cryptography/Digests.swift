/// Digests and random bytes by the system's OpenSSL.
package enum Digests {
    package static func sha256(_ bytes: [UInt8]) throws(CryptographyError) -> [UInt8] { try OpenSSL.sha256(bytes) }

    package static func hmacSHA256(key: [UInt8], _ bytes: [UInt8]) throws(CryptographyError) -> [UInt8] {
        try OpenSSL.hmacSHA256(key: key, bytes)
    }

    /// Compares in time that depends on the length alone.
    package static func areEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool { OpenSSL.areEqual(left, right) }

    package static func randomBytes(count: Int) throws(CryptographyError) -> [UInt8] {
        try OpenSSL.random(count: count)
    }
}
