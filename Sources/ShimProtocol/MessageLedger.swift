/// How far each message to an agent has come. Pure: what the terminal shows comes in, receipts go out.
///
/// A message is known by its key: whoever sends it again, because an answer was lost, hears how far it is, and nothing is
/// typed twice.
package struct MessageLedger {
    /// `refused` came never so far; every other stage means that all before it have been reached.
    package enum Stage: UInt8, Hashable, Sendable, CaseIterable {
        /// Waits for the terminal to take it.
        case queued = 1
        /// All of it is in the terminal's input.
        case written = 2
        /// The program has read all that was in the terminal's input.
        case consumed = 3
        /// The program wrote something after it had read it.
        case answered = 4
        case refused = 5

        package var name: String { "\(self)" }
    }

    package struct Receipt: Hashable, Sendable {
        package let key: [UInt8]
        package let stage: Stage
        /// Where the terminal's log stood when the stage was reached.
        package let offset: UInt64
        /// Why it was refused; else empty.
        package let reason: String

        package init(key: [UInt8], stage: Stage, offset: UInt64, reason: String = "") {
            self.key = key
            self.stage = stage
            self.offset = offset
            self.reason = reason
        }
    }

    private var receipts: [[UInt8]: Receipt] = [:]
    /// Keys by age, those that were refused left out: they may be sent again.
    private var order: [[UInt8]] = []

    /// Messages that are remembered; older ones that have been answered are forgotten first.
    package static let limit = 1024

    package init() {}

    /// The receipt of a message that came before, nil for a new one.
    package func known(_ key: [UInt8]) -> Receipt? { self.receipts[key] }

    /// True while some message has not been read by the program yet.
    package var isWaitingForReader: Bool { self.receipts.values.contains { $0.stage == .written } }

    /// Takes a new message. Nil when too many wait already.
    package mutating func queue(_ key: [UInt8], at offset: UInt64) -> Receipt? {
        if self.order.count >= Self.limit {
            guard let old = self.order.firstIndex(where: { self.receipts[$0]?.stage == .answered }) else { return nil }
            self.receipts[self.order.remove(at: old)] = nil
        }
        let receipt = Receipt(key: key, stage: .queued, offset: offset)
        self.receipts[key] = receipt
        self.order.append(key)
        return receipt
    }

    /// All of the message is in the terminal's input.
    package mutating func written(_ key: [UInt8], at offset: UInt64) -> Receipt? {
        self.advance([key], from: .queued, to: .written, at: offset).first
    }

    /// The terminal's input is empty.
    package mutating func inputIsEmpty(at offset: UInt64) -> [Receipt] {
        self.advance(self.order, from: .written, to: .consumed, at: offset)
    }

    /// The program has written.
    package mutating func output(at offset: UInt64) -> [Receipt] {
        self.advance(self.order, from: .consumed, to: .answered, at: offset)
    }

    private mutating func advance(
        _ keys: [[UInt8]], from: Stage, to stage: Stage, at offset: UInt64
    ) -> [Receipt] {
        keys.compactMap { key in
            guard self.receipts[key]?.stage == from else { return nil }
            let receipt = Receipt(key: key, stage: stage, offset: offset)
            self.receipts[key] = receipt
            return receipt
        }
    }
}

/// What a person's or program's text becomes before it is typed.
package enum TypedText {
    /// The longest line that a terminal in line mode takes, its newline apart (`N_TTY_BUF_SIZE` of Linux less one); of a
    /// longer one the rest and the Enter would be lost without a word.
    package static let longestLine = 4094

    /// The text without control characters but newline and tab, so that nothing in it can end a paste early or drive the
    /// terminal. Bytes that are not UTF-8 are replaced.
    package static func cleaned(_ text: String) -> [UInt8] {
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            let isControl = scalar.value < 0x20 || (0x7f...0x9f).contains(scalar.value)
            if !isControl || scalar == "\n" || scalar == "\t" { result.append(scalar) }
        }
        return Array(String(result).utf8)
    }

    /// The bytes to type: as one paste where the program wants pastes marked, and Enter.
    package static func bytes(_ cleaned: [UInt8], isPasteMarked: Bool) -> [UInt8] {
        isPasteMarked
            ? Array("\u{1b}[200~".utf8) + cleaned + Array("\u{1b}[201~\r".utf8)
            : cleaned.map { $0 == 0x0A ? 0x0D : $0 } + [0x0D]
    }

    /// The longest line in it, in bytes.
    package static func longestLine(of bytes: [UInt8]) -> Int {
        bytes.split(whereSeparator: { $0 == 0x0A || $0 == 0x0D }).map(\.count).max() ?? 0
    }
}

/// Follows whether a program wants pastes marked (`CSI ? 2004 h` and `l`), over any cuts of its output.
package struct PasteModeScanner {
    package private(set) var isMarked = false
    private var matched: [UInt8] = []

    private static let start = Array("\u{1b}[?2004".utf8)

    package init() {}

    package mutating func scan(_ bytes: [UInt8]) {
        for byte in bytes {
            if self.matched.count == Self.start.count {
                if byte == UInt8(ascii: "h") { self.isMarked = true }
                if byte == UInt8(ascii: "l") { self.isMarked = false }
                self.matched = []
            }
            if byte == Self.start[self.matched.count] {
                self.matched.append(byte)
            } else {
                self.matched = byte == Self.start[0] ? [byte] : []
            }
        }
    }
}

/// What an agent says beside its terminal: lines of JSON on its descriptor 3, each with a number of its own.
package struct EventLog {
    package struct Event: Hashable, Sendable {
        package let number: UInt64
        /// Milliseconds since the launch.
        package let time: UInt64
        package let line: [UInt8]

        package init(number: UInt64, time: UInt64, line: [UInt8]) {
            self.number = number
            self.time = time
            self.line = line
        }
    }

    /// The newest events, as many as fit in `keptBytes`.
    package private(set) var events: [Event] = []
    package private(set) var lastNumber: UInt64 = 0
    /// Lines that were no JSON object or too long.
    package private(set) var refused: UInt64 = 0
    private var begun: [UInt8] = []
    private var isTooLong = false
    private var bytes = 0

    package static let longestLine = 16 * 1024
    package static let keptBytes = 256 * 1024
    /// What an event costs beside its line.
    private static let overhead = 64

    package init() {}

    /// Takes bytes as they come; returns the events that became whole.
    package mutating func take(_ bytes: [UInt8], at time: UInt64) -> [Event] {
        var new: [Event] = []
        for byte in bytes {
            guard byte == UInt8(ascii: "\n") else {
                if self.begun.count < Self.longestLine { self.begun.append(byte) } else { self.isTooLong = true }
                continue
            }
            if let event = self.finishLine(at: time) { new.append(event) }
        }
        return new
    }

    private mutating func finishLine(at time: UInt64) -> Event? {
        defer {
            self.begun = []
            self.isTooLong = false
        }
        guard !self.isTooLong, self.begun.first == UInt8(ascii: "{"), self.begun.last == UInt8(ascii: "}") else {
            if !self.begun.isEmpty { self.refused += 1 }
            return nil
        }
        self.lastNumber += 1
        let event = Event(number: self.lastNumber, time: time, line: self.begun)
        self.events.append(event)
        self.bytes += event.line.count + Self.overhead
        if self.bytes > Self.keptBytes * 5 / 4 { self.forget() }
        return event
    }

    /// Many at a time, so that a flood of short lines costs no more than their bytes.
    private mutating func forget() {
        var count = 0
        while self.bytes > Self.keptBytes, count < self.events.count - 1 {
            self.bytes -= self.events[count].line.count + Self.overhead
            count += 1
        }
        self.events.removeFirst(count)
    }

    /// Events after this number that are still kept.
    package func after(_ number: UInt64) -> ArraySlice<Event> {
        // They are numbered without a gap.
        guard let first = self.events.first?.number, number >= first else { return self.events[...] }
        return self.events.dropFirst(Int(clamping: number - first + 1))
    }
}

/// When the bytes of a terminal's log came: pairs of milliseconds since the launch and how many bytes, four bytes each.
package enum LogTiming {
    package static let pairSize = 8

    package static func pair(milliseconds: UInt64, count: Int) -> [UInt8] {
        let (time, count) = (UInt32(clamping: milliseconds), UInt32(clamping: count))
        return (0..<4).reversed().map { UInt8(truncatingIfNeeded: time >> ($0 * 8)) }
            + (0..<4).reversed().map { UInt8(truncatingIfNeeded: count >> ($0 * 8)) }
    }

    /// The pairs of a file; what is not a whole pair at its end is left out.
    package static func pairs(_ bytes: [UInt8]) -> [(milliseconds: UInt64, count: Int)] {
        stride(from: 0, to: bytes.count - bytes.count % Self.pairSize, by: Self.pairSize).map { start in
            let number = { (range: Range<Int>) in bytes[range].reduce(UInt64(0)) { $0 << 8 | UInt64($1) } }
            return (number(start..<start + 4), Int(clamping: number(start + 4..<start + 8)))
        }
    }
}
