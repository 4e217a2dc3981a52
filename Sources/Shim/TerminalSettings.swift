internal import Glibc

/// The settings of a terminal that decide how its input is taken.
struct TerminalSettings: Equatable {
    /// It takes whole lines (ICANON).
    var isLineMode: Bool
    /// The kernel echoes its input (ECHO).
    var isEchoing: Bool
    /// Some control characters send signals at once (ISIG).
    var isSignalling: Bool

    /// What a new terminal has.
    static let initial = TerminalSettings(isLineMode: true, isEchoing: true, isSignalling: true)
}

extension TerminalSettings {
    /// The settings of the terminal of this master; nil when they cannot be read.
    init?(of master: Int32) {
        guard let settings = POSIX.terminalSettings(master) else { return nil }
        self.init(
            isLineMode: settings.c_lflag & tcflag_t(ICANON) != 0, isEchoing: settings.c_lflag & tcflag_t(ECHO) != 0,
            isSignalling: settings.c_lflag & tcflag_t(ISIG) != 0)
    }
}
