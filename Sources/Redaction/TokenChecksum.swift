/// The checksum of GitHub's tokens: the last six characters are the CRC-32 of those before, in base 62.
enum TokenChecksum {
    private static let digits = Array("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".utf8)

    /// True when the last six bytes are the checksum of those before them.
    static func holds(for body: ArraySlice<UInt8>) -> Bool {
        body.count > 6 && self.text(of: body.dropLast(6)).elementsEqual(body.suffix(6))
    }

    /// The checksum of these bytes.
    static func text(of bytes: some Sequence<UInt8>) -> [UInt8] {
        var value = self.crc32(bytes)
        var text: [UInt8] = []
        for _ in 0..<6 {
            text.append(self.digits[Int(value % 62)])
            value /= 62
        }
        return text.reversed()
    }

    private static func crc32(_ bytes: some Sequence<UInt8>) -> UInt32 {
        var value = UInt32.max
        for byte in bytes {
            value ^= UInt32(byte)
            for _ in 0..<8 { value = value & 1 == 0 ? value >> 1 : value >> 1 ^ 0xedb8_8320 }
        }
        return ~value
    }
}
