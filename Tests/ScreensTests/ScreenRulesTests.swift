import Domain
import Testing

@testable import Screens

@Suite("ScreenRules")
struct ScreenRulesTests {
    private static func found(_ rules: [ScreenRule], _ output: String) -> (state: ScreenRule.State, rule: Int)? {
        var screen = TerminalScreen(columns: 40, rows: 8)
        screen.feed(Array(output.utf8))
        return ScreenRules(rules).conclusion(from: screen)
    }

    @Test("the first rule that holds decides, and its number is counted from 1")
    func order() {
        let rules = [ScreenRule(state: .waiting, contains: ["no"]), ScreenRule(state: .busy, contains: ["yes"])]
        let found = Self.found(rules + [ScreenRule(state: .ready, contains: ["yes"])], "yes")
        #expect(found?.state == .busy && found?.rule == 2)
    }

    @Test("where no rule holds nothing is concluded")
    func none() {
        #expect(Self.found([ScreenRule(state: .busy, contains: ["x"])], "y") == nil)
        #expect(Self.found([], "y") == nil)
    }

    @Test("a text that a rule excludes keeps it from holding")
    func lacks() {
        let rule = ScreenRule(state: .busy, contains: ["work"], lacks: ["done"])
        #expect(Self.found([rule], "work") != nil)
        #expect(Self.found([rule], "work\r\ndone") == nil)
    }

    @Test("only a screen that can be seen as ready is waited for")
    func recognizesReady() {
        #expect(ScreenRules([ScreenRule(state: .ready, contains: ["x"])]).recognizesReady)
        #expect(!ScreenRules([ScreenRule(state: .busy, contains: ["x"])]).recognizesReady)
        #expect(ScreenRules([]).isEmpty)
    }

    private static func screen(_ text: String) -> TerminalScreen {
        var screen = TerminalScreen(columns: 60, rows: 20)
        screen.feed(Array(text.utf8))
        return screen
    }

    @Test("all that a rule names must hold, and the first rule that holds counts")
    func rules() {
        let rules = ScreenRules([
            ScreenRule(state: .waiting, contains: ["Do you want", "1. Yes"], lacks: ["answered"]),
            ScreenRule(state: .throttled, titleContains: "limit"),
            ScreenRule(state: .busy, contains: ["esc to interrupt"], lines: 2),
            ScreenRule(state: .ready, cursorLineEnds: ">"),
        ])
        func conclusion(_ text: String) -> ScreenRule.State? { rules.conclusion(from: Self.screen(text))?.state }
        #expect(rules.recognizesReady)
        #expect(conclusion("Do you want to?\r\n 1. Yes\r\n 2. No\r\n> ") == .waiting)
        #expect(conclusion("Do you want to?\r\nno list") == nil)
        #expect(conclusion("Do you want to?\r\n 1. Yes\r\nanswered\r\n") == nil)
        #expect(conclusion("\u{1b}]2;rate limit\u{7}> ") == .throttled)
        #expect(conclusion("thinking (esc to interrupt)\r\n> ") == .busy)
        // Too far above.
        #expect(conclusion("thinking (esc to interrupt)\r\na\r\nb\r\n> ") == .ready)
        #expect(conclusion("> typed") == nil)
        #expect(conclusion("") == nil)
        // What was overwritten is not there.
        #expect(conclusion("thinking (esc to interrupt)\r\u{1b}[2K> ") == .ready)
    }

    @Test("a prompt counts only while the program reads a line, where a rule asks for that", arguments: [true, false])
    func marksPastes(isReading: Bool) {
        let rules = ScreenRules([ScreenRule(state: .ready, cursorLineEnds: "$", marksPastes: true)])
        let text = "\u{1b}[?2004h$ printf 'costs 5$'\r\n" + (isReading ? "$ " : "\u{1b}[?2004lcosts 5$")
        #expect(rules.conclusion(from: Self.screen(text))?.state == (isReading ? .ready : nil))
    }
}
