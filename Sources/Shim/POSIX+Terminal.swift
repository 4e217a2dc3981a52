internal import Glibc

/// The settings of terminals.
extension POSIX {
    /// The terminal's settings; nil when the descriptor is not a terminal.
    static func terminalSettings(_ fd: Int32) -> termios? {
        var settings = termios()
        return unsafe tcgetattr(fd, &settings) == 0 ? settings : nil
    }

    /// Gives a terminal these settings once its output is written.
    static func setTerminal(_ fd: Int32, _ settings: termios) {
        var settings = settings
        _ = unsafe tcsetattr(fd, TCSADRAIN, &settings)
    }

    /// The foreground process group of the terminal of this master; 0 when there is none.
    static func foregroundGroup(_ master: Int32) -> Int32 { max(0, tcgetpgrp(master)) }
}
