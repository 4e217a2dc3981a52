/// Writes numbers big endian and blocks with their length; what `ByteReader` reads.
package struct ByteWriter {
    @usableFromInline package internal(set) var bytes: [UInt8] = []

    package init() { self.bytes.reserveCapacity(256) }

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

    package mutating func write(block: [UInt8]) {
        self.write(UInt32(truncatingIfNeeded: block.count))
        self.bytes.append(contentsOf: block)
    }

    package mutating func write(text: String) { self.write(block: Array(text.utf8)) }
}

/// Reads what `ByteWriter` wrote; every length is checked before it is used.
package struct ByteReader {
    private let bytes: ArraySlice<UInt8>
    private var position: Int

    package init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        self.position = bytes.startIndex
    }

    package var isAtEnd: Bool { self.position == self.bytes.endIndex }

    @inlinable package mutating func number<Number: FixedWidthInteger>(
        _ type: Number.Type = Number.self
    ) throws(DomainError) -> Number {
        Number(truncatingIfNeeded: try self.unsigned(Number.bitWidth / 8))
    }

    /// Not generic, since what is crosses a module's edge unspecialised and costs metadata look-ups each time.
    @usableFromInline mutating func unsigned(_ count: Int) throws(DomainError) -> UInt64 {
        var result: UInt64 = 0
        for byte in try self.take(count) { result = result << 8 | UInt64(byte) }
        return result
    }

    package mutating func block() throws(DomainError) -> [UInt8] {
        let count = try self.number(UInt32.self)
        return Array(try self.take(Int(count)))
    }

    package mutating func text() throws(DomainError) -> String {
        guard let text = String(validating: try self.block(), as: UTF8.self) else {
            throw DomainError.invalidValue("a text is not UTF-8")
        }
        return text
    }

    package mutating func rest() -> [UInt8] {
        defer { self.position = self.bytes.endIndex }
        return Array(self.bytes[self.position...])
    }

    @usableFromInline mutating func take(_ count: Int) throws(DomainError) -> ArraySlice<UInt8> {
        guard count <= self.bytes.endIndex - self.position else {
            throw DomainError.invalidValue("expected \(count) more bytes, found \(self.bytes.endIndex - self.position)")
        }
        defer { self.position += count }
        return self.bytes[self.position..<self.position + count]
    }
}
