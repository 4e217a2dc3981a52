/// The answers to what programs ask of a terminal. Only a terminal that a program is connected to gives them: see
/// `answersQueries`. What could put a program's own text into its input, as a report of the title would, is never answered.
extension TerminalScreen {
    /// Takes the answers to the queries of the bytes so far, in their order.
    package mutating func takeAnswers() -> [UInt8] {
        defer { self.answers.removeAll(keepingCapacity: true) }
        return self.answers
    }

    /// Answers a control sequence when it is a query that is known; sequences that are not are left alone.
    mutating func answerCSI(_ final: UInt8) {
        guard self.answersQueries else { return }
        let first = self.parameters.value(0, minimum: 0, missing: 0)
        switch (self.intermediates.text, final) {
        case ("", UInt8(ascii: "c")) where first == 0: self.answer(Self.primaryAttributes)
        case (">", UInt8(ascii: "c")) where first == 0: self.answer("\u{1b}[>1;0;0c")
        case (">", UInt8(ascii: "q")) where first == 0: self.answer("\u{1b}P>|orchestra\u{1b}\\")
        case ("", UInt8(ascii: "n")) where first == 5: self.answer("\u{1b}[0n")
        case ("", UInt8(ascii: "n")) where first == 6: self.answer("\u{1b}[\(self.reportedPosition)R")
        case ("?", UInt8(ascii: "n")) where first == 6: self.answer("\u{1b}[?\(self.reportedPosition)R")
        case ("", UInt8(ascii: "t")) where first == 18: self.answer("\u{1b}[8;\(self.rows);\(self.columns)t")
        case ("", UInt8(ascii: "t")) where first == 19: self.answer("\u{1b}[9;\(self.rows);\(self.columns)t")
        case ("?$", UInt8(ascii: "p")):
            guard let first else { return }
            self.answer("\u{1b}[?\(first);\(self.state(ofPrivateMode: first))$y")
        case ("$", UInt8(ascii: "p")):
            guard let first else { return }
            // Insert mode is the only one of these modes that is kept.
            let state = first == 4 ? self.insertMode ? 1 : 2 : 0
            self.answer("\u{1b}[\(first);\(state)$y")
        default: break
        }
    }

    /// DECID, the old form of the request for device attributes.
    mutating func answerIdentification() {
        guard self.answersQueries else { return }
        self.answer(Self.primaryAttributes)
    }

    /// A VT220 with ANSI colors.
    private static let primaryAttributes = "\u{1b}[?62;22c"
    /// A program that asks and never reads gets no more than this.
    private static let maximumAnswers = 4096

    /// `row;column`, counted from 1; in origin mode from the top of the scroll region.
    private var reportedPosition: String {
        let row = self.originMode ? max(self.row - self.top, 0) : self.row
        return "\(row + 1);\(self.cursor.column + 1)"
    }

    /// As DECRQM reports it: 1 set, 2 reset, 0 not known.
    private func state(ofPrivateMode mode: Int) -> Int {
        switch mode {
        case 6: self.originMode ? 1 : 2
        case 7: self.wrapMode ? 1 : 2
        case 47, 1047, 1049: self.isAlternate ? 1 : 2
        case _ where TerminalModes.known.contains(mode): self.modes.isSet(mode) ? 1 : 2
        default: 0
        }
    }

    private mutating func answer(_ text: String) {
        guard self.answers.count + text.utf8.count <= Self.maximumAnswers else { return }
        self.answers += text.utf8
    }
}
