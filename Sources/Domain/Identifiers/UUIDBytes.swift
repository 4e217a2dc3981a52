/// Sixteen bytes with the text form of a UUID; the base of the job and request ids.
package struct UUIDBytes: Hashable, Sendable {
    package let high: UInt64
    package let low: UInt64

    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// Reads exactly 16 bytes, big endian; nil for any other count.
    package init?(bytes: ArraySlice<UInt8>) {
        guard bytes.count == 16 else { return nil }
        var high: UInt64 = 0
        var low: UInt64 = 0
        for byte in bytes.prefix(8) { high = high << 8 | UInt64(byte) }
        for byte in bytes.suffix(8) { low = low << 8 | UInt64(byte) }
        self.init(high: high, low: low)
    }

    package init?(bytes: [UInt8]) { self.init(bytes: bytes[...]) }

    /// Reads the 36-character form, either case; nil for anything else.
    package init?(text: String) {
        var digits: [UInt8] = []
        digits.reserveCapacity(32)
        let utf8 = Array(text.utf8)
        guard utf8.count == 36 else { return nil }
        for (index, byte) in utf8.enumerated() {
            if index == 8 || index == 13 || index == 18 || index == 23 {
                guard byte == UInt8(ascii: "-") else { return nil }
                continue
            }
            guard let value = Hexadecimal.value(of: byte) else { return nil }
            digits.append(value)
        }
        let bytes = stride(from: 0, to: 32, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
        self.init(bytes: bytes)
    }

    /// Big endian, 16 of them.
    package var bytes: [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(16)
        for word in [self.high, self.low] {
            for shift in stride(from: 56, through: 0, by: -8) {
                result.append(UInt8(truncatingIfNeeded: word >> shift))
            }
        }
        return result
    }

    /// The canonical lower-case text.
    package var text: String {
        var result: [UInt8] = []
        result.reserveCapacity(36)
        for (index, byte) in self.bytes.enumerated() {
            if index == 4 || index == 6 || index == 8 || index == 10 { result.append(UInt8(ascii: "-")) }
            result.append(Hexadecimal.digit(byte >> 4))
            result.append(Hexadecimal.digit(byte & 15))
        }
        return String(decoding: result, as: UTF8.self)
    }
}

/// Lower-case hexadecimal.
package enum Hexadecimal {
    static func digit(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
    }

    package static func text(of bytes: ArraySlice<UInt8>) -> String { self.text(of: Array(bytes)) }

    package static func text(of bytes: [UInt8]) -> String {
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count * 2)
        for byte in bytes {
            result.append(self.digit(byte >> 4))
            result.append(self.digit(byte & 15))
        }
        return String(decoding: result, as: UTF8.self)
    }

    /// The value of one digit of either case, nil for any other byte.
    package static func value(of byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }

    /// The bytes of an even number of digits, nil for anything else.
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
