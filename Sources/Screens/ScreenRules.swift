package import Domain

/// Concludes from a screen what its agent does.
package struct ScreenRules: Hashable, Sendable {
    private let rules: [ScreenRule]

    /// Takes the rules as given; the first that holds decides.
    package init(_ rules: [ScreenRule]) { self.rules = rules }

    package var isEmpty: Bool { self.rules.isEmpty }

    /// True when a screen can say that the program takes its prompt.
    package var recognizesReady: Bool { self.rules.contains { $0.state == .ready } }

    /// The first rule that holds: its state and its number, counted from 1. Nil when none does: nothing is concluded then.
    package func conclusion(from screen: TerminalScreen) -> (state: ScreenRule.State, rule: Int)? {
        let view = View(screen)
        for (index, rule) in self.rules.enumerated() where view.satisfies(rule) { return (rule.state, index + 1) }
        return nil
    }

    private struct View {
        /// Lines that hold anything, the lowest first.
        private let filled: [String]
        private let cursorLine: String
        private let title: String
        private let marksPastes: Bool

        init(_ screen: TerminalScreen) {
            let lines = screen.lines
            self.filled = lines.reversed().filter { !$0.isEmpty }
            self.title = screen.title
            self.marksPastes = screen.modes.isPasteMarked
            let cursor = screen.cursor
            // A column is a character here; where wide ones stand before the cursor, more of the line is taken.
            let line = lines.indices.contains(cursor.row) ? lines[cursor.row] : ""
            let prefix = String(line.prefix(cursor.column))
            self.cursorLine = String(prefix.reversed().drop { $0 == " " }.reversed())
        }

        func satisfies(_ rule: ScreenRule) -> Bool {
            let looked = self.filled.prefix(rule.lines)
            func shows(_ text: String) -> Bool { looked.contains { Self.holds($0, text) } }
            if let end = rule.cursorLineEnds, !Array(self.cursorLine.utf8).ends(with: end) { return false }
            if let title = rule.titleContains, !Self.holds(self.title, title) { return false }
            if let marks = rule.marksPastes, marks != self.marksPastes { return false }
            return rule.contains.allSatisfy(shows) && !rule.lacks.contains(where: shows)
        }

        /// By bytes: what only looks alike is not the same.
        private static func holds(_ line: String, _ text: String) -> Bool {
            let (line, text) = (Array(line.utf8), Array(text.utf8))
            guard let first = text.first, line.count >= text.count else { return text.isEmpty }
            for start in 0...(line.count - text.count) where line[start] == first {
                if line[start..<start + text.count].elementsEqual(text) { return true }
            }
            return false
        }
    }
}

extension [UInt8] {
    fileprivate func ends(with text: String) -> Bool { self.suffix(text.utf8.count).elementsEqual(text.utf8) }
}
