internal import Domain
internal import Screens
package import ShimProtocol

/// Follows an agent's log and applies the screen rules of its definition to the screen that results. It reads the shim's log
/// file, a bounded part each time, so that a flood of output does not cost the node more than that.
struct ScreenWatch {
    private let rules: ScreenRules
    private let size: (columns: Int, rows: Int)
    private var sizes = TerminalSizes()
    private var screen: TerminalScreen
    private var offset: UInt64 = 0
    /// What the last new output shows, until the terminal has been quiet for one call.
    private var unsettled: (state: ScreenRule.State, rule: Int)?
    /// Calls of `look` since a string of the terminal's language was begun and not ended.
    private var looksInsideString = 0

    /// Bytes that one call reads; of more only the last `kept` are, which decide the screen.
    private static let most: UInt64 = 256 * 1024
    private static let kept: UInt64 = 64 * 1024
    /// After so many calls a string that is not ended is given up, as terminals do after some seconds.
    private static let stringLooks = 20

    init(rules: ScreenRules, columns: Int, rows: Int) {
        self.rules = rules
        self.size = (columns, rows)
        self.screen = TerminalScreen(columns: columns, rows: rows)
    }

    /// What the rules conclude; nil when nothing was written since the last call, or no rule holds. That a program reads is
    /// concluded only when nothing more was written since the call before. Throws when the log cannot be read; the next call
    /// begins where this one ended. Blocks.
    mutating func look(at directory: AgentDirectory, _ generation: Int) throws -> (state: ScreenRule.State, rule: Int)?
    {
        let length = try directory.logLength(generation)
        guard length > self.offset else {
            if let settled = self.unsettled {
                self.unsettled = nil
                return settled
            }
            guard self.screen.isInsideString else { return nil }
            self.looksInsideString += 1
            if self.looksInsideString == Self.stringLooks { self.screen.abandonString() }
            return nil
        }
        self.looksInsideString = 0
        self.sizes = try directory.sizes(generation)
        if length - self.offset > Self.most {
            self.offset = length - Self.kept
            let size = self.sizes.size(at: self.offset)
            self.screen = TerminalScreen(
                columns: size.map { Int($0.columns) } ?? self.size.columns,
                rows: size.map { Int($0.rows) } ?? self.size.rows)
        }
        while self.offset < length {
            let part = try directory.log(generation, from: self.offset, limit: 64 * 1024)
            if part.bytes.isEmpty { break }
            self.screen.feed(part.bytes, at: part.place, self.sizes)
            self.offset = part.place + UInt64(part.bytes.count)
        }
        let found = self.rules.conclusion(from: self.screen)
        switch found?.state {
        case .ready, .waiting:
            self.unsettled = found
            return nil
        case .busy, .throttled, nil:
            self.unsettled = nil
            return found
        }
    }
}

extension TerminalScreen {
    /// Takes the bytes of a log from `offset` on, and the sizes that the terminal was given among them.
    mutating func feed(_ bytes: [UInt8], at offset: UInt64, _ sizes: TerminalSizes) {
        var (rest, place) = (bytes[...], offset)
        for change in sizes.changes where change.offset >= offset && change.offset <= offset + UInt64(bytes.count) {
            let part = rest.prefix(Int(clamping: change.offset - place))
            self.feed(part)
            self.resize(columns: Int(change.columns), rows: Int(change.rows))
            rest = rest.dropFirst(part.count)
            place += UInt64(part.count)
        }
        self.feed(rest)
    }
}

extension AgentDirectory {
    /// The sizes that a launch's terminal was given; none when it kept its first.
    package func sizes(_ generation: Int) throws -> TerminalSizes {
        TerminalSizes(decoding: try self.read(ShimFiles.sizes, generation: generation) ?? [])
    }
}
