import Testing

@testable import orchestra

@Suite("TransferTally")
struct TransferTallyTests {
    private static let limits = TransferTally.Limits(bytes: 10, entries: 2, time: .seconds(1))

    private func line(_ text: String) -> [UInt8] { Array(text.utf8) }

    @Test("bytes count up to the bound, and what passes it is not counted")
    func bytes() throws {
        var tally = TransferTally(limits: Self.limits)
        try tally.move(4)
        try tally.move(6)
        let error = #expect(throws: CommandError.self) { try tally.move(1) }
        #expect(error?.status == .data && error?.message.contains("--max-bytes") == true)
        #expect(tally.bytes == 10)
        #expect(throws: CommandError.self) { try tally.move(.max) }
    }

    @Test("entries count up to the bound, those with a name that is too long too")
    func entries() throws {
        var tally = TransferTally(limits: Self.limits)
        try tally.packed(self.line("./a"))
        try tally.packed(nil)
        #expect(tally.entries == 2)
        let error = #expect(throws: CommandError.self) { try tally.packed(self.line("./b")) }
        #expect(error?.status == .data && error?.message.contains("--max-entries") == true)
        #expect(throws: CommandError.self) { try tally.unpacked(self.line("c")) }
    }

    @Test("what tar says apart from names is a problem and no entry")
    func problems() throws {
        var tally = TransferTally(limits: Self.limits)
        try tally.packed(self.line("tar: ./x: Cannot open: Permission denied"))
        try tally.packed(self.line("tar: \u{1b}[2Jx"))
        #expect(tally.entries == 0)
        #expect(tally.problems.hasPrefix("tar: ./x: Cannot open: Permission denied; "))
        #expect(!tally.problems.contains("\u{1b}"))
        for _ in 0..<100 { tally.addProblem(Array(repeating: UInt8(ascii: "x"), count: 200)) }
        #expect(tally.problems.utf8.count < 1500)
    }

    @Test("a name that leads out is refused, and one that only looks like it is not")
    func names() throws {
        for name in ["/etc/passwd", "..", "../x", "a/../../x", "a/.."] {
            var tally = TransferTally(limits: Self.limits)
            let error = #expect(throws: CommandError.self, "\(name)") { try tally.unpacked(self.line(name)) }
            #expect(error?.status == .data && tally.entries == 0)
        }
        for name in ["a", "./a/", "..a", "a../b", "...", "new\\nline"] {
            var tally = TransferTally(limits: Self.limits)
            try tally.unpacked(self.line(name))
            #expect(tally.entries == 1)
        }
    }
}
