import Domain
import Testing

@Suite("ByteWriter and ByteReader")
struct ByteCodingTests {
    private func reader(_ bytes: [UInt8]) -> ByteReader { ByteReader(bytes[...]) }

    @Test("numbers are written big endian, in their own width")
    func bigEndian() {
        var writer = ByteWriter()
        writer.write(UInt8(0x01))
        writer.write(UInt16(0x0203))
        writer.write(UInt32(0x0405_0607))
        writer.write(UInt64(0x0809_0a0b_0c0d_0e0f))
        #expect(writer.bytes == Array(1...15))
    }

    @Test("signed numbers keep their sign")
    func signed() throws {
        var writer = ByteWriter()
        writer.write(Int64(-2))
        writer.write(Int8(-128))
        var reader = self.reader(writer.bytes)
        let (first, second): (Int64, Int8) = (try reader.number(), try reader.number())
        #expect(first == -2 && second == -128)
    }

    @Test("a block is behind its length in four bytes", arguments: [0, 1, 255, 256, 70_000])
    func block(count: Int) throws {
        var writer = ByteWriter()
        writer.write(block: [UInt8](repeating: 7, count: count))
        #expect(writer.bytes.count == count + 4)
        var reader = self.reader(writer.bytes)
        let block = try reader.block()
        #expect(block == [UInt8](repeating: 7, count: count) && reader.isAtEnd)
    }

    @Test("a text is read as it was written", arguments: ["", "a", "é€😀", "a\u{0}b"])
    func text(text: String) throws {
        var writer = ByteWriter()
        writer.write(text: text)
        var reader = self.reader(writer.bytes)
        let read = try reader.text()
        #expect(read == text)
    }

    @Test("a text that is not UTF-8 is refused")
    func notUTF8() {
        #expect(throws: DomainError.self) {
            var reader = self.reader([0, 0, 0, 2, 0xc3, 0x28])
            _ = try reader.text()
        }
    }

    @Test(
        "a length beyond the end is refused, however large",
        arguments: [
            [0, 0, 0, 1], [0, 0, 0, 3, 1, 2], [0xff, 0xff, 0xff, 0xff], [0x7f, 0xff, 0xff, 0xff, 1],
        ] as [[UInt8]])
    func beyondEnd(bytes: [UInt8]) {
        #expect(throws: DomainError.self) {
            var reader = self.reader(bytes)
            _ = try reader.block()
        }
    }

    @Test("a number that is cut is refused", arguments: 0..<8)
    func cutNumber(count: Int) {
        #expect(throws: DomainError.self) {
            var reader = self.reader([UInt8](repeating: 1, count: count))
            _ = try reader.number(UInt64.self)
        }
    }

    @Test("a refused read takes nothing")
    func refusedRead() throws {
        var reader = self.reader([1, 2])
        do {
            _ = try reader.number(UInt32.self)
            Issue.record("four bytes were read of two")
        } catch {}
        let number = try reader.number(UInt16.self)
        #expect(number == 0x0102)
    }

    @Test("the rest is what was not read yet, once")
    func rest() throws {
        var reader = self.reader([1, 2, 3])
        _ = try reader.number(UInt8.self)
        let (first, second) = (reader.rest(), reader.rest())
        #expect(first == [2, 3] && second.isEmpty && reader.isAtEnd)
    }

    @Test("a part of an array is read from its own beginning")
    func slice() throws {
        var reader = ByteReader([9, 9, 1, 2, 9][2..<4])
        let number = try reader.number(UInt16.self)
        #expect(number == 0x0102 && reader.isAtEnd)
    }
}

@Suite("UUIDBytes")
struct UUIDBytesTests {
    private static let uuid = UUIDBytes(high: 0x0123_4567_89ab_cdef, low: 0xfedc_ba98_7654_3210)

    @Test("the text form is 8-4-4-4-12, lower-case")
    func text() { #expect(Self.uuid.text == "01234567-89ab-cdef-fedc-ba9876543210") }

    @Test("text is read in either case")
    func readText() {
        #expect(UUIDBytes(text: Self.uuid.text) == Self.uuid)
        #expect(UUIDBytes(text: Self.uuid.text.uppercased()) == Self.uuid)
    }

    @Test(
        "other texts are refused",
        arguments: [
            "", "01234567-89ab-cdef-fedc-ba987654321", "01234567-89ab-cdef-fedc-ba98765432100",
            "0123456789abcdeffedcba9876543210", "{1234567-89ab-cdef-fedc-ba987654321}",
            "01234567_89ab_cdef_fedc_ba9876543210",
            "0123456-789ab-cdef-fedc-ba9876543210", "g1234567-89ab-cdef-fedc-ba9876543210",
            " 1234567-89ab-cdef-fedc-ba9876543210", "０1234567-89ab-cdef-fedc-ba98765432",
        ])
    func otherTexts(text: String) { #expect(UUIDBytes(text: text) == nil) }

    @Test("sixteen bytes are read as they were written, and no other count", arguments: [0, 15, 16, 17])
    func bytes(count: Int) {
        let bytes = Array((Self.uuid.bytes + [0]).prefix(count))
        #expect(UUIDBytes(bytes: bytes) == (count == 16 ? Self.uuid : nil))
    }
}

@Suite("Hexadecimal")
struct HexadecimalTests {
    @Test("every byte is two lower-case digits, and read back in either case")
    func roundTrip() {
        let all = Array(UInt8.min...UInt8.max)
        let text = Hexadecimal.text(of: all)
        #expect(text.hasPrefix("000102") && text.hasSuffix("fdfeff") && text.count == 512)
        #expect(Hexadecimal.bytes(of: text) == all && Hexadecimal.bytes(of: text.uppercased()) == all)
    }

    @Test("an odd number of digits, and what is no digit, is refused", arguments: ["a", "abc", "0g", " 0", "0x", "é"])
    func refused(text: String) { #expect(Hexadecimal.bytes(of: text) == nil) }
}
