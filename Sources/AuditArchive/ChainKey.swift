package import Cryptography
internal import Domain

/// The key of a node that signs its chain.
package struct ChainKey: Sendable {
    /// The SHA-256 digest of the public key, 64 hexadecimal digits.
    package let fingerprint: String
    private let key: SigningKey

    /// Takes the key as given; throws `CryptographyError` when it cannot be digested.
    package init(_ key: SigningKey) throws(CryptographyError) {
        self.key = key
        self.fingerprint = try Self.fingerprint(of: key.publicKey)
    }

    var publicKey: [UInt8] { self.key.publicKey }

    /// The fingerprint of a public key.
    static func fingerprint(of publicKey: [UInt8]) throws(CryptographyError) -> String {
        Hexadecimal.text(of: try Digests.sha256(publicKey))
    }

    func signature(of body: String) throws(CryptographyError) -> [UInt8] {
        try self.key.sign(ChainSignature.message(body.utf8))
    }

    /// The body of an object, closed with its signature.
    func signed(_ body: String) throws(CryptographyError) -> [UInt8] {
        Array((body + ",\"signature\":\"\(Hexadecimal.text(of: try self.signature(of: body)))\"}").utf8)
    }
}
