import Domain
import Testing

@testable import Screens

@Suite("ScreenRules")
struct ScreenRulesTests {
    private static func conclusion(_ rules: [ScreenRule], _ output: String) -> (state: ScreenRule.State, rule: Int)? {
        var screen = TerminalScreen(columns: 40, rows: 8)
        screen.feed(Array(output.utf8))
        return ScreenRules(rules).conclusion(from: screen)
    }

    @Test("the first rule that holds decides, and its number is counted from 1")
    func order() {
        let rules = [ScreenRule(state: .waiting, contains: ["no"]), ScreenRule(state: .busy, contains: ["yes"])]
        let found = Self.conclusion(rules + [ScreenRule(state: .ready, contains: ["yes"])], "yes")
        #expect(found?.state == .busy && found?.rule == 2)
    }

    @Test("where no rule holds nothing is concluded")
    func none() {
        #expect(Self.conclusion([ScreenRule(state: .busy, contains: ["x"])], "y") == nil)
        #expect(Self.conclusion([], "y") == nil)
    }

    @Test("a text that a rule excludes keeps it from holding")
    func lacks() {
        let rule = ScreenRule(state: .busy, contains: ["work"], lacks: ["done"])
        #expect(Self.conclusion([rule], "work") != nil)
        #expect(Self.conclusion([rule], "work\r\ndone") == nil)
    }

    @Test("only a screen that can be seen as ready is waited for")
    func canTellReady() {
        #expect(ScreenRules([ScreenRule(state: .ready, contains: ["x"])]).canTellReady)
        #expect(!ScreenRules([ScreenRule(state: .busy, contains: ["x"])]).canTellReady)
        #expect(ScreenRules([]).isEmpty)
    }
}
