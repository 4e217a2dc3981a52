/// The terminal's answers to a program's queries, until they may be written into its input.
struct PendingAnswers {
    private var bytes: [UInt8] = []
    private var since: UInt64 = 0
    /// The foreground process group that asked.
    private var group: Int32 = 0

    /// A program that asks first and then leaves line mode has this long, in milliseconds, to do so.
    private static let lineModeTimeout: UInt64 = 1000
    /// Answers that wait, in bytes; more are dropped.
    private static let limit = 4096

    var isEmpty: Bool { self.bytes.isEmpty }

    /// Adds answers to a query of this process group.
    mutating func add(_ more: [UInt8], to group: Int32, at now: UInt64) {
        guard !more.isEmpty, self.bytes.count + more.count <= Self.limit else { return }
        if self.bytes.isEmpty || group != self.group {
            self.bytes = []
            self.since = now
            self.group = group
        }
        self.bytes += more
    }

    /// Takes the answers that may be written now; nil when there are none.
    ///
    /// In line mode with echo a program cannot read an answer, which would appear on the screen and in the log: such an
    /// answer waits, and is dropped when another process group has the terminal or the time is over.
    mutating func take(_ settings: TerminalSettings, group: Int32, at now: UInt64) -> [UInt8]? {
        guard !self.bytes.isEmpty else { return nil }
        guard group == self.group, now - self.since <= Self.lineModeTimeout else {
            self.bytes = []
            return nil
        }
        guard !settings.isLineMode || !settings.isEchoing else { return nil }
        defer { self.bytes = [] }
        return self.bytes
    }
}
