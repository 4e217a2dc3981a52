/// The 16 bytes of a UUID and their text form, used by `JobID` and `RequestID`.
package struct UUIDBytes: Hashable, Sendable {
    package let high: UInt64
    package let low: UInt64

    /// Takes the first and the last 8 bytes, each as a big-endian number.
    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// Reads 16 bytes in big-endian order; returns nil for any other count.
    package init?(bytes: ArraySlice<UInt8>) {
        guard bytes.count == 16 else { return nil }
        var high: UInt64 = 0
        var low: UInt64 = 0
        for byte in bytes.prefix(8) { high = high << 8 | UInt64(byte) }
        for byte in bytes.suffix(8) { low = low << 8 | UInt64(byte) }
        self.init(high: high, low: low)
    }

    /// Reads 16 bytes in big-endian order; returns nil for any other count.
    package init?(bytes: [UInt8]) { self.init(bytes: bytes[...]) }

    /// Parses the 36-character form, in upper or lower case; returns nil for anything else.
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

    /// The 16 bytes in big-endian order.
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

    /// The canonical text form in lower case.
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
