import Domain
import Testing

@testable import orchestra

@Suite("TerminalLines")
struct TerminalLinesTests {
    @Test("complete lines come out, the rest waits")
    func lines() {
        var lines = TerminalLines()
        #expect(lines.add(Array("a\r\nb\nc".utf8)) == ["a", "b"])
        #expect(lines.add(Array("d\n".utf8)) == ["cd"])
        #expect(lines.finish() == nil)
    }

    @Test("a character that arrives in two parts stays whole")
    func splitCharacter() {
        var lines = TerminalLines()
        let bytes = Array("über €\n".utf8)
        for byte in bytes.dropLast() { #expect(lines.add([byte]).isEmpty) }
        #expect(lines.add([0x0a]) == ["über €"])
    }

    @Test("the last line needs no end")
    func finish() {
        var lines = TerminalLines()
        _ = lines.add(Array("rest".utf8))
        #expect(lines.finish() == "rest")
        #expect(lines.finish() == nil)
    }

    @Test("empty lines are lines")
    func emptyLines() {
        var lines = TerminalLines()
        #expect(lines.add(Array("\n\n".utf8)) == ["", ""])
    }

    @Test("a line without an end is shown in parts of the limit")
    func longLine() {
        var lines = TerminalLines(limit: 4)
        #expect(lines.add(Array("abcdefghi".utf8)) == ["abcd", "efgh"])
        #expect(lines.finish() == "i")
    }

    @Test("a long line is not cut inside a character")
    func longLineOfCharacters() {
        var lines = TerminalLines(limit: 4)
        #expect(lines.add(Array("aa€€€".utf8)) == ["aa", "€"])
        #expect(lines.finish() == "€€")
    }

    @Test("bytes that are not UTF-8 are replaced and end")
    func garbage() {
        var lines = TerminalLines(limit: 4)
        let shown = lines.add([UInt8](repeating: 0x80, count: 9))
        #expect(shown.count >= 2)
    }

    @Test("twenty thousand lines at once are all shown")
    func many() {
        var lines = TerminalLines()
        #expect(lines.add(Array(String(repeating: "line\n", count: 20_000).utf8)).count == 20_000)
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
