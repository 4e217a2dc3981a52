internal import Cryptography

/// An API key as its holder has it: `relay_sk_<id>_<secret>`. The id finds its record, the secret proves it.
package struct APIKey: Sendable {
    /// Public: it stands in lists, logs and the audit trail.
    package let id: String
    let secret: [UInt8]

    package static let prefix = "relay_sk_"
    private static let idLength = 16
    /// 256 bits of base 32.
    private static let secretLength = 52

    /// Reads what a request carries; nil for what no key looks like.
    package init?(_ text: Substring) {
        guard text.hasPrefix(Self.prefix) else { return nil }
        let rest = Array(text.utf8.dropFirst(Self.prefix.utf8.count))
        guard rest.count == Self.idLength + 1 + Self.secretLength, rest[Self.idLength] == UInt8(ascii: "_"),
            rest[..<Self.idLength].allSatisfy(Base32.isDigit), rest[(Self.idLength + 1)...].allSatisfy(Base32.isDigit)
        else { return nil }
        self.id = String(decoding: rest[..<Self.idLength], as: UTF8.self)
        self.secret = Array(rest[(Self.idLength + 1)...])
    }

    /// A fresh one: 80 bits of id, 256 of secret.
    package static func random() throws -> APIKey {
        APIKey(
            id: Base32.text(of: try Digests.randomBytes(count: 10)),
            secret: Array(Base32.text(of: try Digests.randomBytes(count: 32)).utf8))
    }

    private init(id: String, secret: [UInt8]) {
        self.id = id
        self.secret = secret
    }

    /// The whole key, to be shown once.
    package var text: String { "\(Self.prefix)\(self.id)_\(String(decoding: self.secret, as: UTF8.self))" }
}

/// Lower-case base 32 without padding (the alphabet of RFC 4648 §6).
private enum Base32 {
    static func isDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || (UInt8(ascii: "2")...UInt8(ascii: "7")).contains(byte)
    }

    static func text(of bytes: [UInt8]) -> String {
        let alphabet = Array("abcdefghijklmnopqrstuvwxyz234567".utf8)
        var result: [UInt8] = []
        var (buffer, bits) = (UInt32(0), 0)
        for byte in bytes {
            buffer = (buffer << 8 | UInt32(byte)) & 0xfff
            bits += 8
            while bits >= 5 {
                bits -= 5
                result.append(alphabet[Int(buffer >> UInt32(bits) & 31)])
            }
        }
        if bits > 0 { result.append(alphabet[Int(buffer << UInt32(5 - bits) & 31)]) }
        return String(decoding: result, as: UTF8.self)
    }
}
