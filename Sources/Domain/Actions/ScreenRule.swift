/// What a screen of a certain agent says about it: versioned data in the agent's file, because programs change their looks.
/// All conditions that are given must hold.
package struct ScreenRule: Hashable, Sendable {
    /// What can be told from a screen. That a program has ended cannot.
    package enum State: String, Hashable, Sendable, CaseIterable {
        case ready
        case busy
        case waiting
        case throttled
    }

    package let state: State
    /// Each is in some of the lines that are looked at.
    package let contains: [String]
    /// None of them is in any of those lines.
    package let lacks: [String]
    /// The cursor's line, up to the cursor and without blanks there, ends so.
    package let cursorLineEnds: String?
    package let titleContains: String?
    /// How many of the lowest lines that hold anything are looked at.
    package let lines: Int

    package init(
        state: State, contains: [String] = [], lacks: [String] = [], cursorLineEnds: String? = nil,
        titleContains: String? = nil, lines: Int = 12
    ) {
        self.state = state
        self.contains = contains
        self.lacks = lacks
        self.cursorLineEnds = cursorLineEnds
        self.titleContains = titleContains
        self.lines = lines
    }
}
