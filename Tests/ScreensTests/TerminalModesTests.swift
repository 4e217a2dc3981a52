import Testing

@testable import Screens

@Suite("TerminalModes")
struct TerminalModesTests {
    private static func modes(_ output: String) -> TerminalModes {
        var screen = TerminalScreen(columns: 80, rows: 24)
        screen.feed(Array(output.utf8))
        return screen.modes
    }

    @Test("at first pastes are not marked, cursor keys are normal and the cursor is visible")
    func initial() {
        let modes = TerminalModes()
        #expect(!modes.isPasteMarked && !modes.isApplicationCursor && modes.isSet(25))
    }

    @Test(
        "marked pastes are seen in every form of the sequence",
        arguments: ["\u{1b}[?2004h", "\u{1b}[?1004;2004h", "\u{1b}[?2004;1004h", "\u{1b}[?25h\u{1b}[?1004;2004h"])
    func pasteMarked(output: String) {
        #expect(Self.modes(output).isPasteMarked)
        #expect(!Self.modes(output + "\u{1b}[?2004l").isPasteMarked)
    }

    @Test("marked pastes are seen over every cut of the output")
    func cuts() {
        let output = Array("x\u{1b}[?2004h\u{1b}\u{1b}[?2004".utf8)
        for cut in 0...output.count {
            var screen = TerminalScreen(columns: 80, rows: 24)
            screen.feed(Array(output[..<cut]))
            screen.feed(Array(output[cut...]))
            #expect(screen.modes.isPasteMarked)
            screen.feed(Array("l".utf8))
            #expect(!screen.modes.isPasteMarked)
        }
    }

    @Test("application cursor keys are set by DECCKM")
    func applicationCursor() {
        #expect(Self.modes("\u{1b}[?1h").isApplicationCursor)
        #expect(!Self.modes("\u{1b}[?1h\u{1b}[?1l").isApplicationCursor)
    }

    @Test("the ANSI mode of the same number is another mode")
    func ansiMode() {
        #expect(!Self.modes("\u{1b}[1h\u{1b}[2004h").isApplicationCursor)
        #expect(!Self.modes("\u{1b}[1h\u{1b}[2004h").isPasteMarked)
    }

    @Test("a full reset clears every mode")
    func reset() {
        #expect(Self.modes("\u{1b}[?1;2004h\u{1b}[?25l\u{1b}c") == TerminalModes())
    }

    @Test("a soft reset ends application cursor keys and leaves marked pastes")
    func softReset() {
        let modes = Self.modes("\u{1b}[?1;2004h\u{1b}[!p")
        #expect(!modes.isApplicationCursor && modes.isPasteMarked)
    }

    @Test("a mode that is not known is not kept")
    func unknown() {
        #expect(Self.modes("\u{1b}[?31337h") == TerminalModes())
    }
}
