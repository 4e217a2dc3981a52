import Domain
import Testing

@testable import orchestra

@Suite("TerminalLines")
struct TerminalLinesTests {
    /// All that is shown for output that arrives in these parts, and the rest at the end.
    private func shown(limit: Int = 65_536, _ parts: [[UInt8]]) -> [String] {
        var lines = TerminalLines(limit: limit)
        var shown: [String] = []
        for part in parts { shown += lines.add(part) }
        if let rest = lines.finish() { shown.append("rest: " + rest) }
        return shown
    }

    @Test("complete lines come out, the rest waits for its end")
    func lines() { #expect(self.shown([Array("a\r\nb\nc".utf8), Array("d\n".utf8)]) == ["a", "b", "cd"]) }

    @Test("a character that arrives in two parts stays whole")
    func splitCharacter() { #expect(self.shown("über €\n".utf8.map { [$0] }) == ["über €"]) }

    @Test("the last line needs no end")
    func finish() { #expect(self.shown([Array("rest".utf8)]) == ["rest: rest"]) }

    @Test("empty lines are lines")
    func emptyLines() { #expect(self.shown([Array("\n\n".utf8)]) == ["", ""]) }

    @Test("a line without an end is shown in parts of the limit")
    func longLine() { #expect(self.shown(limit: 4, [Array("abcdefghi".utf8)]) == ["abcd", "efgh", "rest: i"]) }

    @Test("a long line is not cut inside a character")
    func longLineOfCharacters() {
        #expect(self.shown(limit: 4, [Array("aa€€€".utf8)]) == ["aa", "€", "€", "rest: €"])
    }

    @Test("bytes that are not UTF-8 are shown as replacements, and end")
    func garbage() { #expect(self.shown(limit: 4, [[UInt8](repeating: 0x80, count: 9)]).count >= 2) }

    @Test("twenty thousand lines at once are all shown")
    func many() {
        #expect(self.shown([Array(String(repeating: "line\n", count: 20_000).utf8)]).count == 20_000)
    }
}

@Suite("TerminalText")
struct TerminalTextTests {
    @Test("plain text, tabs and newlines stay")
    func plain() { #expect(TerminalText.plain("a\tb\nc ü") == "a\tb\nc ü") }

    @Test(
        "escape sequences are removed",
        arguments: ["\u{1b}[31mx", "\u{1b}]0;title\u{07}x", "\u{1b}]0;t\u{1b}\\x", "\u{1b}Px\u{1b}\\x", "\u{1b}cx"])
    func sequences(text: String) { #expect(TerminalText.plain(text) == "x") }

    @Test("control characters are removed", arguments: ["\u{00}", "\u{07}", "\u{08}", "\r", "\u{7f}", "\u{9b}"])
    func controls(text: String) { #expect(TerminalText.plain("a\(text)b") == "ab") }

    @Test("a sequence without its end removes the rest")
    func cut() { #expect(TerminalText.plain("a\u{1b}]0;title") == "a") }
}

@Suite("JobText")
struct JobTextTests {
    @Test("a time is printed as RFC 3339")
    func time() { #expect(JobText.time(0) == "1970-01-01T00:00:00Z") }

    @Test("each member of a result is a line, with several lines a block")
    func members() {
        let lines = JobText.lines(of: ["exit_status": .integer(3), "stdout": "a\nb"])
        #expect(lines == ["exit_status  3", "stdout:", "    a", "    b"])
    }

    @Test("members that were printed before are left out")
    func shown() { #expect(JobText.lines(of: ["terminal": "x"], shown: ["terminal"]).isEmpty) }

    @Test("a result that is not an object is one line")
    func scalar() { #expect(JobText.lines(of: .integer(3)) == ["result       3"]) }

    @Test("escape sequences of a result are removed")
    func harmless() { #expect(JobText.lines(of: ["out": "\u{1b}[31mx"]) == ["out          x"]) }
}
