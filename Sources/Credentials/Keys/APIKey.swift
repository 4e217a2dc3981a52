internal import Cryptography
internal import Domain

/// An API key as its holder has it: `relay_sk_<id>_<secret>`. The id finds the record, the secret proves the holder.
package struct APIKey: Sendable {
    /// Not a secret: it is shown in lists, logs and the audit trail.
    package let id: String
    let secret: [UInt8]

    package static let prefix = "relay_sk_"
    private static let idLength = 16
    /// 256 bits of base 32.
    private static let secretLength = 52

    /// Reads the key of a request; nil when it is malformed.
    package init?(_ text: Substring) {
        guard text.hasPrefix(Self.prefix) else { return nil }
        let rest = Array(text.utf8.dropFirst(Self.prefix.utf8.count))
        guard rest.count == Self.idLength + 1 + Self.secretLength, rest[Self.idLength] == UInt8(ascii: "_"),
            rest[..<Self.idLength].allSatisfy(Base32.isDigit), rest[(Self.idLength + 1)...].allSatisfy(Base32.isDigit)
        else { return nil }
        self.id = String(decoding: rest[..<Self.idLength], as: UTF8.self)
        self.secret = Array(rest[(Self.idLength + 1)...])
    }

    /// A new key: 80 bits of id, 256 of secret. Throws `CryptographyError` when there are no random bytes.
    package static func random() throws -> APIKey {
        APIKey(
            id: Base32.text(of: try Digests.randomBytes(count: 10)),
            secret: Array(Base32.text(of: try Digests.randomBytes(count: 32)).utf8))
    }

    private init(id: String, secret: [UInt8]) {
        self.id = id
        self.secret = secret
    }

    /// 16 bits of a digest of id and secret: enough to refuse 65,535 of 65,536 wrong keys without a hash, and of no use
    /// for finding a secret of 256 bits.
    func checksum() throws -> String {
        Hexadecimal.text(of: Array(try Digests.sha256(Array("orchestra/key/1 \(self.text)".utf8)).prefix(2)))
    }

    /// The whole key, to be shown once.
    package var text: String { "\(Self.prefix)\(self.id)_\(String(decoding: self.secret, as: UTF8.self))" }
}
