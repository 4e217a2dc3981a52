import Testing

@testable import orchestra

@Suite("Lines of the egress server")
struct LineSplitterTests {
    private static let text = "a\u{2028}b\u{85}c\nsecond\n"

    @Test("only line feeds end lines, wherever the bytes are cut", arguments: [1, 2, 5, 100])
    func lines(_ size: Int) {
        var splitter = LineSplitter(limit: 100)
        let bytes = Array(Self.text.utf8)
        var lines: [[UInt8]?] = []
        for start in stride(from: 0, to: bytes.count, by: size) { lines += splitter.take(bytes[start...].prefix(size)) }
        #expect(lines == [Array("a\u{2028}b\u{85}c".utf8), Array("second".utf8)])
    }

    @Test("a line that is too long is dropped alone")
    func long() {
        var splitter = LineSplitter(limit: 4)
        #expect(splitter.take("abcd\nabcde\nx\n".utf8) == [Array("abcd".utf8), nil, Array("x".utf8)])
    }
}
