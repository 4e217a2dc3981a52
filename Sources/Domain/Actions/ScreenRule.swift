/// Derives the state of an agent from the content of its terminal screen. The rules are data in the agent's file, because
/// the screens change between versions of a program. A rule matches when all of its conditions hold.
package struct ScreenRule: Hashable, Sendable {
    /// The states that a screen can show. The end of a program is not one of them.
    package enum State: String, Hashable, Sendable, CaseIterable {
        case ready
        case busy
        case waiting
        case throttled
    }

    package let state: State
    /// Each of these texts occurs in at least one of the examined lines.
    package let contains: [String]
    /// None of these texts occurs in the examined lines.
    package let lacks: [String]
    /// The cursor's line, up to the cursor and without trailing blanks, ends with this text.
    package let cursorLineEnds: String?
    package let titleContains: String?
    /// The program has asked for marked pastes (`?2004`), as line editors do only while they read; nil when it does not
    /// matter.
    package let marksPastes: Bool?
    /// The number of examined lines: the lowest ones that are not empty.
    package let lines: Int

    /// Takes the parts as given; checks nothing. A rule without a condition matches every screen.
    package init(
        state: State, contains: [String] = [], lacks: [String] = [], cursorLineEnds: String? = nil,
        titleContains: String? = nil, marksPastes: Bool? = nil, lines: Int = 12
    ) {
        self.state = state
        self.contains = contains
        self.lacks = lacks
        self.cursorLineEnds = cursorLineEnds
        self.titleContains = titleContains
        self.marksPastes = marksPastes
        self.lines = lines
    }
}
