import Agents

/// Copies the new output of an agent's terminal to the screen, made harmless.
struct TerminalFollower {
    private let directory: AgentDirectory?
    private let print: @Sendable (String) -> Void
    private var generation = 0
    private var offset: UInt64 = 0
    private var lines = TerminalLines()

    /// True once output was found.
    var hasShown: Bool { self.offset > 0 }

    /// Without a directory nothing is shown.
    init(directory: AgentDirectory?, print: @escaping @Sendable (String) -> Void) {
        self.directory = directory
        self.print = print
    }

    /// Prints the lines that were completed since the last call. Throws when the log cannot be read.
    mutating func pump() throws {
        guard let directory = self.directory, let latest = try directory.generations.last else { return }
        if latest != self.generation {
            self.finish()
            self.generation = latest
            self.offset = 0
        }
        while true {
            let part = try directory.log(latest, from: self.offset, limit: 1024 * 1024)
            if part.bytes.isEmpty { break }
            self.offset = part.place + UInt64(part.bytes.count)
            for line in self.lines.add(part.bytes) { self.show(line) }
        }
    }

    /// Prints the last line, which has no end.
    mutating func finish() { if let line = self.lines.finish() { self.show(line) } }

    private func show(_ line: String) { self.print("         │ \(line)") }
}
