/// Writes numbers in big-endian order, and blocks with a length prefix. `ByteReader` reads this format.
package struct ByteWriter {
    @usableFromInline package internal(set) var bytes: [UInt8] = []

    /// Starts empty; reserves 256 bytes.
    package init() { self.bytes.reserveCapacity(256) }

    /// Appends the bytes of a number in big-endian order.
    @inlinable package mutating func write<Number: FixedWidthInteger>(_ number: Number) {
        self.append(UInt64(truncatingIfNeeded: number), bytes: Number.bitWidth / 8)
    }

    @usableFromInline mutating func append(_ number: UInt64, bytes count: Int) {
        var shift = 8 * count
        while shift > 0 {
            shift -= 8
            self.bytes.append(UInt8(truncatingIfNeeded: number >> UInt64(shift)))
        }
    }

    /// Appends a block of at most `UInt32.max` bytes with its length.
    package mutating func write(block: [UInt8]) {
        self.write(UInt32(truncatingIfNeeded: block.count))
        self.bytes.append(contentsOf: block)
    }

    /// Appends a text as a block of UTF-8.
    package mutating func write(text: String) { self.write(block: Array(text.utf8)) }
}
