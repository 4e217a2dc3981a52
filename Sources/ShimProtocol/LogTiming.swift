/// When the bytes of a terminal's log were written: pairs of milliseconds since the launch and a count of bytes, four bytes
/// each.
package enum LogTiming {
    package static let pairSize = 8

    /// Encodes one pair; larger numbers are cut to 32 bits' largest.
    package static func pair(milliseconds: UInt64, count: Int) -> [UInt8] {
        let (time, count) = (UInt32(clamping: milliseconds), UInt32(clamping: count))
        return (0..<4).reversed().map { UInt8(truncatingIfNeeded: time >> ($0 * 8)) }
            + (0..<4).reversed().map { UInt8(truncatingIfNeeded: count >> ($0 * 8)) }
    }

    /// Decodes the pairs of a file; an incomplete pair at its end is ignored.
    package static func pairs(_ bytes: [UInt8]) -> [(milliseconds: UInt64, count: Int)] {
        stride(from: 0, to: bytes.count - bytes.count % Self.pairSize, by: Self.pairSize).map { start in
            let number = { (range: Range<Int>) in bytes[range].reduce(UInt64(0)) { $0 << 8 | UInt64($1) } }
            return (number(start..<start + 4), Int(clamping: number(start + 4..<start + 8)))
        }
    }
}
