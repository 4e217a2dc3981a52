internal import Domain
internal import Screens

/// Follows an agent's log and looks at the screen that it makes, with what its definition says of screens. It reads the file
/// that the shim writes, at most so much a look, so that no flood of output can cost the node more than that.
struct ScreenWatch {
    private let rules: ScreenRules
    private let size: (columns: Int, rows: Int)
    private var screen: TerminalScreen
    private var offset: UInt64 = 0
    /// Looks since a string of the terminal's language was begun and not ended.
    private var looksInsideString = 0

    /// Bytes of a look; of more only the last are seen, which is where a screen is.
    private static let most: UInt64 = 256 * 1024
    private static let kept: UInt64 = 64 * 1024
    /// After so many looks a string that was never ended is given up, as terminals do after some seconds.
    private static let unknownLooksTolerated = 20

    init(rules: ScreenRules, columns: Int, rows: Int) {
        self.rules = rules
        self.size = (columns, rows)
        self.screen = TerminalScreen(columns: columns, rows: rows)
    }

    /// Nil when nothing was written since the last look, or no rule holds. Throws when the log cannot be read; the next look
    /// begins where this one ended. Blocks.
    mutating func look(at directory: AgentDirectory, _ generation: Int) throws -> (state: ScreenRule.State, rule: Int)?
    {
        let length = try directory.logLength(generation)
        guard length > self.offset else {
            guard self.screen.isInsideString else { return nil }
            self.looksInsideString += 1
            if self.looksInsideString == Self.unknownLooksTolerated { self.screen.abandonString() }
            return nil
        }
        self.looksInsideString = 0
        if length - self.offset > Self.most {
            self.screen = TerminalScreen(columns: self.size.columns, rows: self.size.rows)
            self.offset = length - Self.kept
        }
        while self.offset < length {
            let part = try directory.log(generation, from: self.offset, limit: 64 * 1024)
            if part.bytes.isEmpty { break }
            self.screen.feed(part.bytes)
            self.offset = part.place + UInt64(part.bytes.count)
        }
        return self.rules.conclusion(from: self.screen)
    }
}
