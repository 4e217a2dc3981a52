internal import Domain
internal import Foundation

/// The forms in which a value that the process knows may occur in a text.
enum KnownSecret {
    private static let least = 6

    /// The value as it is, as JSON, percent-encoded, in hexadecimal digits, and in base64 and base64url behind any number
    /// of other bytes. None for a value that is too short to distinguish from other text.
    static func encodings(of value: [UInt8]) -> [[UInt8]] {
        guard value.count >= self.least else { return [] }
        let hex = Hexadecimal.text(of: value)
        var forms = [value, Array(hex.utf8), Array(hex.uppercased().utf8)]
        forms += [
            self.percentEncoded(value, digits: "0123456789ABCDEF"),
            self.percentEncoded(value, digits: "0123456789abcdef"),
        ]
        forms.append(Array(JSONValue.string(String(decoding: value, as: UTF8.self)).bytes.dropFirst().dropLast()))
        for shift in 0..<3 {
            let text = Data(Array(repeating: 0, count: shift) + value).base64EncodedString()
            // The first characters have bits of what is before the value, the last ones of what is after it.
            let start = (shift * 8 + 5) / 6
            let end = (shift + value.count) * 8 / 6
            let middle = Array(text.utf8)[start..<end]
            forms.append(Array(middle))
            forms.append(
                middle.map {
                    $0 == UInt8(ascii: "+") ? UInt8(ascii: "-") : $0 == UInt8(ascii: "/") ? UInt8(ascii: "_") : $0
                })
        }
        return forms
    }

    private static func percentEncoded(_ value: [UInt8], digits: String) -> [UInt8] {
        let digits = Array(digits.utf8)
        let plain = ByteSet.unreserved
        return value.flatMap { byte in
            plain.contains(byte)
                ? [byte] : [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
        }
    }
}
