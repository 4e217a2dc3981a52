/// Reads the format of `ByteWriter`. Checks every length before use.
package struct ByteReader {
    private let bytes: ArraySlice<UInt8>
    private var position: Int

    /// Starts at the first byte of `bytes`.
    package init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        self.position = bytes.startIndex
    }

    package var isAtEnd: Bool { self.position == self.bytes.endIndex }

    /// Reads a number in big-endian order. Throws `DomainError.invalidValue` when there are not enough bytes.
    @inlinable package mutating func number<Number: FixedWidthInteger>(
        _ type: Number.Type = Number.self
    ) throws(DomainError) -> Number {
        Number(truncatingIfNeeded: try self.unsigned(Number.bitWidth / 8))
    }

    /// Not generic: a generic function called from another module is not specialized, which costs metadata lookups.
    @usableFromInline mutating func unsigned(_ count: Int) throws(DomainError) -> UInt64 {
        var result: UInt64 = 0
        for byte in try self.take(count) { result = result << 8 | UInt64(byte) }
        return result
    }

    /// Reads a block. Throws `DomainError.invalidValue` when there are not enough bytes.
    package mutating func block() throws(DomainError) -> [UInt8] {
        let count = try self.number(UInt32.self)
        return Array(try self.take(Int(count)))
    }

    /// Reads a text. Throws `DomainError.invalidValue` when there are not enough bytes or they are not UTF-8.
    package mutating func text() throws(DomainError) -> String {
        guard let text = String(validating: try self.block(), as: UTF8.self) else {
            throw DomainError.invalidValue("a text is not valid UTF-8")
        }
        return text
    }

    /// Reads all remaining bytes.
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
