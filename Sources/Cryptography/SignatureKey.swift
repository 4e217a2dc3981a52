internal import COpenSSL

/// A public key that checks signatures of one algorithm and no other: which one is a matter of the key, never of
/// the message that it checks.
package final class SignatureKey: Sendable {
    /// A signature algorithm; the raw value is its name in JOSE (`alg`).
    package enum Algorithm: String, Sendable, Hashable, CaseIterable {
        /// RSASSA-PKCS1-v1_5 with SHA-256.
        case rs256 = "RS256"
        /// ECDSA on P-256 with SHA-256.
        case es256 = "ES256"
        /// Ed25519.
        case edDSA = "EdDSA"
    }

    package let algorithm: Algorithm
    private let handle: PublicKeyHandle
    private let signatureSize: Int

    /// Moduli below are within reach of factoring (NIST SP 800-131A); those above cost too much to check.
    private static let modulusBits = 2048...8192

    private init(_ algorithm: Algorithm, _ handle: consuming PublicKeyHandle, signatureSize: Int) {
        self.algorithm = algorithm
        self.handle = handle
        self.signatureSize = signatureSize
    }

    /// An RSA key from its big-endian modulus and exponent. Nil unless the modulus has 2048 to 8192 bits and the
    /// exponent is odd, from 65,537 (FIPS 186-5) and of at most eight bytes.
    package static func rsa(modulus: [UInt8], exponent: [UInt8]) -> SignatureKey? {
        let number = exponent.count <= 8 ? exponent.reduce(UInt64(0)) { $0 << 8 | UInt64($1) } : 0
        // Without leading zeros (RFC 7518 §6.3.1.1), so that the sizes are what they look like.
        guard number >= 65_537, number % 2 == 1, let first = modulus.first, first != 0, exponent.first != 0,
            modulus.last.map({ $0 % 2 == 1 }) == true, modulus.count <= Self.modulusBits.upperBound / 8,
            let handle = PublicKeyHandle.rsa(modulus, exponent), Self.modulusBits.contains(handle.bits)
        else { return nil }
        return SignatureKey(.rs256, handle, signatureSize: modulus.count)
    }

    /// A key on P-256 from its coordinates of 32 bytes; nil when the point is not on the curve.
    package static func p256(x: [UInt8], y: [UInt8]) -> SignatureKey? {
        guard x.count == 32, y.count == 32, let handle = PublicKeyHandle.p256([4] + x + y) else { return nil }
        return SignatureKey(.es256, handle, signatureSize: 64)
    }

    /// An Ed25519 key of 32 bytes; nil for what is none.
    package static func ed25519(_ bytes: [UInt8]) -> SignatureKey? {
        // Points of small order verify signatures that no key made (RFC 8032 §5.1.7, and the list of Chalkias et al. 2020).
        guard bytes.count == 32, !SmallOrder.contains(bytes), let handle = PublicKeyHandle.ed25519(bytes) else {
            return nil
        }
        return SignatureKey(.edDSA, handle, signatureSize: 64)
    }

    /// Returns whether `signature` is this key's signature of `message`; false also for a signature of the wrong size.
    package func isValid(_ signature: [UInt8], for message: [UInt8]) -> Bool {
        guard signature.count == self.signatureSize else { return false }
        return self.handle.verify(signature, message, as: self.algorithm)
    }
}

/// The encodings of Curve25519's points of order 1, 2, 4 and 8, canonical and not, without the sign bit.
private enum SmallOrder {
    private static let points: [[UInt8]] = [
        [UInt8](repeating: 0, count: 32),
        [1] + [UInt8](repeating: 0, count: 31),
        [
            0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf,
            0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
        ],
        [
            0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20,
            0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
        ],
        [0xec] + [UInt8](repeating: 0xff, count: 30) + [0x7f],
        [0xed] + [UInt8](repeating: 0xff, count: 30) + [0x7f],
        [0xee] + [UInt8](repeating: 0xff, count: 30) + [0x7f],
    ]

    static func contains(_ bytes: [UInt8]) -> Bool {
        guard let last = bytes.last else { return true }
        return self.points.contains(Array(bytes.dropLast()) + [last & 0x7f])
    }
}
