package import Domain
internal import Screens

/// A recorded screen of an agent, and what its rules must conclude from it: the corpus that shows when a program has changed
/// its looks.
package struct ScreenTest: Hashable, Sendable {
    package let file: String
    package let number: Int
    package let agent: DefinitionName
    /// What the program wrote to its terminal, as it was recorded.
    package let output: [UInt8]
    package let columns: Int
    package let rows: Int
    /// Nil when nothing may be concluded.
    package let expected: ScreenRule.State?

    /// Nil when the agent's rules conclude what is expected, else what they conclude.
    package func failure(with bundle: PolicyBundle) -> String? {
        var screen = TerminalScreen(columns: self.columns, rows: self.rows)
        screen.feed(self.output)
        let found = ScreenRules(bundle.agents[self.agent]?.screen ?? []).conclusion(from: screen)
        guard found?.state != self.expected else { return nil }
        let concluded = found.map { "\($0.state.rawValue) by rule \($0.rule)" } ?? "nothing"
        return
            "\(self.file), case \(self.number): the screen of \(self.agent) says \(concluded), expected \(self.expected?.rawValue ?? "nothing")"
    }

    static func list(_ reader: inout DefinitionReader) throws(PolicyError) -> [ScreenTest] {
        let agent: DefinitionName
        let name = try reader.string("agent")
        do throws(DomainError) { agent = try DefinitionName(name) } catch { throw reader.fail(error.message) }
        let columns = try reader.integer("columns", in: 1...500, default: 220)
        let rows = try reader.integer("rows", in: 1...200, default: 50)
        var tests: [ScreenTest] = []
        for (index, value) in try reader.list("cases").enumerated() {
            var item = try DefinitionReader(value, file: "\(reader.file), case \(index + 1)")
            _ = try item.optionalString("summary")
            let text = try item.string("expect")
            let expected = ScreenRule.State(rawValue: text)
            guard expected != nil || text == "nothing" else {
                throw item.fail("'expect' must be one of ready, busy, waiting, throttled, nothing")
            }
            tests.append(
                ScreenTest(
                    file: reader.file, number: index + 1, agent: agent, output: Array(try item.string("output").utf8),
                    columns: columns, rows: rows, expected: expected))
            try item.finish()
        }
        return tests
    }
}
