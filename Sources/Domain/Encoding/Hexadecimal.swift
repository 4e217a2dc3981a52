/// Encodes bytes as lower-case hexadecimal digits and decodes digits of either case.
package enum Hexadecimal {
    /// The digit of a value from 0 to 15, in ASCII.
    static func digit(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
    }

    /// Two digits for each byte.
    package static func text(of bytes: ArraySlice<UInt8>) -> String { self.text(of: Array(bytes)) }

    /// Two digits for each byte.
    package static func text(of bytes: [UInt8]) -> String {
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count * 2)
        for byte in bytes {
            result.append(self.digit(byte >> 4))
            result.append(self.digit(byte & 15))
        }
        return String(decoding: result, as: UTF8.self)
    }

    /// The value of an ASCII digit of either case; nil for any other byte.
    package static func value(of byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }

    /// Decodes an even number of digits; returns nil for anything else.
    package static func bytes(of text: String) -> [UInt8]? {
        let utf8 = Array(text.utf8)
        guard utf8.count.isMultiple(of: 2) else { return nil }
        var result: [UInt8] = []
        for index in stride(from: 0, to: utf8.count, by: 2) {
            guard let high = self.value(of: utf8[index]), let low = self.value(of: utf8[index + 1]) else { return nil }
            result.append(high << 4 | low)
        }
        return result
    }
}
