import Domain
import Testing

@testable import ShimProtocol

@Suite("TerminalSizes")
struct TerminalSizesTests {
    private static func sizes(_ changes: (UInt64, UInt16, UInt16)...) -> TerminalSizes {
        var sizes = TerminalSizes()
        for (offset, columns, rows) in changes {
            sizes.add(TerminalSizes.Change(offset: offset, columns: columns, rows: rows))
        }
        return sizes
    }

    @Test("changes survive their encoding")
    func roundTrip() {
        let sizes = Self.sizes((0, 80, 24), (7000, 132, 43))
        #expect(TerminalSizes(decoding: sizes.encoded) == sizes)
    }

    @Test("a malformed or impossible line of the file is ignored")
    func malformed() {
        let text = "x 1 2\n5 80\n1 80 24\n2 9 24\n3 80 201\n4 80 24 1\n"
        #expect(TerminalSizes(decoding: Array(text.utf8)) == Self.sizes((1, 80, 24)))
    }

    @Test("the size at a place is the last change up to it, and none before the first")
    func sizeAt() {
        let sizes = Self.sizes((10, 80, 24), (20, 132, 43))
        #expect(sizes.size(at: 9) == nil)
        #expect(sizes.size(at: 10).map { [$0.columns, $0.rows] } == [80, 24])
        #expect(sizes.size(at: 21).map { [$0.columns, $0.rows] } == [132, 43])
    }

    @Test("the oldest changes are dropped past the limit")
    func limit() {
        var sizes = TerminalSizes()
        for offset in 0..<TerminalSizes.limit + 5 {
            sizes.add(TerminalSizes.Change(offset: UInt64(offset), columns: 80, rows: 24))
        }
        #expect(sizes.changes.count == TerminalSizes.limit && sizes.changes.first?.offset == 5)
    }

    @Test("a size is columns, x, rows", arguments: [("80x24", 80, 24), ("10x2", 10, 2), ("500x200", 500, 200)])
    func parse(text: String, columns: UInt16, rows: UInt16) throws {
        let size = try TerminalSizes.parse(text)
        #expect(size.columns == columns && size.rows == rows)
    }

    @Test(
        "a size that is malformed or out of bounds is refused",
        arguments: ["", "80", "80x", "x24", "80x24x1", "9x24", "501x24", "80x1", "80x201", "-1x5", "80X24", "70000x24"])
    func refused(text: String) {
        #expect(throws: DomainError.self) { try TerminalSizes.parse(text) }
    }
}
