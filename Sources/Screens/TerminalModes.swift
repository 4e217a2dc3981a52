/// The private modes of a terminal that change no text and that programs set, ask for and rely on.
package struct TerminalModes: Hashable, Sendable {
    /// The modes whose state is kept: cursor keys, cursor blink and visibility, mouse and focus reports, bracketed paste.
    /// Of any other the terminal says that it does not know it.
    static let known: Set<Int> = [1, 12, 25, 1000, 1002, 1003, 1004, 1005, 1006, 1015, 2004]
    /// The cursor is visible.
    private static let initial: Set<Int> = [25]

    private var enabled = TerminalModes.initial

    /// Begins with the modes of a terminal after a full reset: only the visible cursor is set.
    package init() {}

    /// Whether arrow keys, Home and End are sent as `ESC O` sequences (DECCKM).
    package var isApplicationCursor: Bool { self.enabled.contains(1) }

    /// Whether the program wants pastes marked (`?2004`).
    package var isPasteMarked: Bool { self.enabled.contains(2004) }

    func isSet(_ mode: Int) -> Bool { self.enabled.contains(mode) }

    mutating func set(_ mode: Int, _ isOn: Bool) {
        guard Self.known.contains(mode) else { return }
        if isOn { self.enabled.insert(mode) } else { self.enabled.remove(mode) }
    }

    /// The state after a full reset of the terminal (RIS).
    mutating func reset() { self.enabled = Self.initial }

    /// A soft reset (DECSTR) ends application cursor keys and shows the cursor.
    mutating func softReset() {
        self.enabled.remove(1)
        self.enabled.insert(25)
    }
}
