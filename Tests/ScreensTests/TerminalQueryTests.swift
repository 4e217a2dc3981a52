import Testing

@testable import Screens

@Suite("TerminalScreen: queries")
struct TerminalQueryTests {
    private static func answers(_ output: String, columns: Int = 80, rows: Int = 24) -> String {
        var screen = TerminalScreen(columns: columns, rows: rows)
        screen.answersQueries = true
        screen.feed(Array(output.utf8))
        return String(decoding: screen.takeAnswers(), as: UTF8.self)
    }

    @Test(
        "a query that is known has one answer",
        arguments: [
            ("\u{1b}[5n", "\u{1b}[0n"), ("\u{1b}[6n", "\u{1b}[1;1R"), ("\u{1b}[?6n", "\u{1b}[?1;1R"),
            ("\u{1b}[c", "\u{1b}[?62;22c"), ("\u{1b}[0c", "\u{1b}[?62;22c"), ("\u{1b}Z", "\u{1b}[?62;22c"),
            ("\u{1b}[>c", "\u{1b}[>1;0;0c"), ("\u{1b}[>0c", "\u{1b}[>1;0;0c"),
            ("\u{1b}[>q", "\u{1b}P>|orchestra\u{1b}\\"), ("\u{1b}[>0q", "\u{1b}P>|orchestra\u{1b}\\"),
            ("\u{1b}[18t", "\u{1b}[8;24;80t"), ("\u{1b}[19t", "\u{1b}[9;24;80t"),
        ])
    func answered(query: String, answer: String) {
        #expect(Self.answers(query) == answer)
    }

    @Test("the cursor's position is that of the text before the query")
    func position() {
        #expect(Self.answers("ab\r\nc\u{1b}[6nd\u{1b}[6n") == "\u{1b}[2;2R\u{1b}[2;3R")
        #expect(Self.answers("\u{1b}[10;20H\u{1b}[?6n") == "\u{1b}[?10;20R")
        #expect(Self.answers("\u{1b}[999;999H\u{1b}[6n") == "\u{1b}[24;80R")
    }

    @Test("a cursor that waits to wrap is in the last column")
    func pendingWrap() {
        #expect(Self.answers("abcdefghij\u{1b}[6n", columns: 10) == "\u{1b}[1;10R")
    }

    @Test("in origin mode the position counts from the scroll region")
    func originMode() {
        #expect(Self.answers("\u{1b}[5;10r\u{1b}[?6h\u{1b}[2;3H\u{1b}[6n") == "\u{1b}[2;3R")
    }

    @Test("wide characters count two columns")
    func wide() {
        #expect(Self.answers("日本\u{1b}[6n") == "\u{1b}[1;5R")
    }

    @Test(
        "the state of a private mode is set, reset, or not known",
        arguments: [
            ("\u{1b}[?1$p", "\u{1b}[?1;2$y"), ("\u{1b}[?1h\u{1b}[?1$p", "\u{1b}[?1;1$y"),
            ("\u{1b}[?7$p", "\u{1b}[?7;1$y"), ("\u{1b}[?25$p", "\u{1b}[?25;1$y"),
            ("\u{1b}[?25l\u{1b}[?25$p", "\u{1b}[?25;2$y"), ("\u{1b}[?6h\u{1b}[?6$p", "\u{1b}[?6;1$y"),
            ("\u{1b}[?1049h\u{1b}[?1049$p", "\u{1b}[?1049;1$y"), ("\u{1b}[?2004$p", "\u{1b}[?2004;2$y"),
            ("\u{1b}[?1000;2004h\u{1b}[?2004$p", "\u{1b}[?2004;1$y"), ("\u{1b}[?2026$p", "\u{1b}[?2026;0$y"),
            ("\u{1b}[?12345$p", "\u{1b}[?9999;0$y"),
        ])
    func privateMode(query: String, answer: String) {
        #expect(Self.answers(query) == answer)
    }

    @Test("of the ANSI modes only insert mode is known")
    func ansiMode() {
        #expect(Self.answers("\u{1b}[4$p\u{1b}[4h\u{1b}[4$p\u{1b}[20$p") == "\u{1b}[4;2$y\u{1b}[4;1$y\u{1b}[20;0$y")
    }

    @Test(
        "what xterm would not answer, or what would put a program's text into its input, is not answered",
        arguments: [
            "\u{1b}[21t", "\u{1b}[20t", "\u{1b}[14t", "\u{1b}]10;?\u{07}", "\u{1b}]11;?\u{1b}\\", "\u{1b}]52;c;?\u{07}",
            "\u{1b}[?u", "\u{1b}[7n", "\u{1b}[1c", "\u{1b}[?c", "\u{1b}[=c", "\u{1b}P+q544e\u{1b}\\", "\u{05}",
            "\u{1b}[62;22c", "\u{1b}[2;1R",
        ])
    func silent(query: String) {
        #expect(Self.answers(query) == "")
    }

    @Test("a query inside a string or broken off is not answered")
    func hidden() {
        #expect(Self.answers("\u{1b}]0;\u{07}\u{1b}[6") == "")
        #expect(Self.answers("\u{1b}Pq\u{1b}[6n") == "")
        #expect(Self.answers("\u{1b}[6\u{18}n") == "")
    }

    @Test("a query is answered once over every cut of the output")
    func cuts() {
        let output = Array("a\u{1b}[6n\u{1b}[?2004$p".utf8)
        for cut in 0...output.count {
            var screen = TerminalScreen(columns: 80, rows: 24)
            screen.answersQueries = true
            screen.feed(Array(output[..<cut]))
            var answers = screen.takeAnswers()
            screen.feed(Array(output[cut...]))
            answers += screen.takeAnswers()
            #expect(String(decoding: answers, as: UTF8.self) == "\u{1b}[1;2R\u{1b}[?2004;2$y")
        }
    }

    @Test("answers are taken once")
    func taken() {
        var screen = TerminalScreen(columns: 80, rows: 24)
        screen.answersQueries = true
        screen.feed(Array("\u{1b}[5n".utf8))
        #expect(!screen.takeAnswers().isEmpty)
        #expect(screen.takeAnswers().isEmpty)
    }

    @Test("a screen that is only looked at gives no answers")
    func observer() {
        var screen = TerminalScreen(columns: 80, rows: 24)
        screen.feed(Array("\u{1b}[6n\u{1b}[c".utf8))
        #expect(screen.takeAnswers().isEmpty)
    }

    @Test("answers that nobody takes are bounded")
    func bounded() {
        #expect(Self.answers(String(repeating: "\u{1b}[c", count: 100_000)).utf8.count <= 4096)
    }

    @Test("the size that is answered is the one that the terminal was given")
    func resized() {
        var screen = TerminalScreen(columns: 80, rows: 24)
        screen.answersQueries = true
        screen.resize(columns: 132, rows: 43)
        screen.feed(Array("\u{1b}[18t".utf8))
        #expect(String(decoding: screen.takeAnswers(), as: UTF8.self) == "\u{1b}[8;43;132t")
    }
}
