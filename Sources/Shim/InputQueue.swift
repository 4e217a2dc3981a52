internal import Screens
internal import ShimProtocol

/// What waits to be written to the program's terminal, in order and bounded.
///
/// A message is written in chunks: its text and its Enter, or one key after another. Many programs take one read as one key
/// or one paste, so where the terminal is not in line mode a chunk is begun only after the program has read all before it,
/// and a moment later. A chunk that is begun is written to its end before anything else.
struct InputQueue {
    enum Source: Equatable {
        /// Input of the owner, identified by its number.
        case prompt(UInt64)
        /// A message of any connection, identified by its key.
        case message([UInt8])
    }

    enum Content: Hashable {
        /// Bytes as they are.
        case bytes([UInt8])
        /// Text that is entered.
        case text([UInt8])
        case keys([TerminalKey])
    }

    /// What is known of an owner's input, which it may send again after a lost connection.
    enum Knowledge {
        case new
        case waiting
        case written
    }

    private struct Entry {
        let source: Source
        let content: Content

        var size: Int {
            switch self.content {
            case .bytes(let bytes): bytes.count
            case .text(let text): text.count + 16
            case .keys(let keys): keys.count * 8
            }
        }
    }

    private struct Chunk {
        let bytes: [UInt8]
        /// Milliseconds after it until the next chunk.
        let pause: UInt64
    }

    static let fullness = "the input queue is full"
    private static let limit = 1024 * 1024
    /// A program that takes fast input for a paste sees the next chunk as typed after this long, in milliseconds.
    private static let pause: UInt64 = 30
    /// After Escape alone: programs wait so long to distinguish it from the start of another key's sequence.
    private static let pauseAfterEscape: UInt64 = 200

    private var entries: [Entry] = []
    private var size = 0
    private var lastPrompt: UInt64 = 0
    /// The entry whose chunks are being written, with those that are not begun.
    private var begun: Entry?
    private var chunks: ArraySlice<Chunk> = []
    /// The rest of the chunk that is begun.
    private(set) var rest: ArraySlice<UInt8> = []
    private var isAnswer = false
    private var pauseAfter: UInt64 = 0
    /// No chunk is begun earlier.
    private var readyAt: UInt64 = 0

    /// True while a chunk waits to be begun.
    var hasChunk: Bool { !self.chunks.isEmpty || !self.entries.isEmpty }

    /// True when nothing waits and nothing is half written.
    var isEmpty: Bool { !self.hasChunk && self.rest.isEmpty }

    func hasRoom(for content: Content) -> Bool {
        self.size + Entry(source: .prompt(0), content: content).size <= Self.limit
    }

    func knowledge(of prompt: UInt64) -> Knowledge {
        guard prompt <= self.lastPrompt else { return .new }
        let isWaiting = self.begun?.source == .prompt(prompt) || self.entries.contains { $0.source == .prompt(prompt) }
        return isWaiting ? .waiting : .written
    }

    /// False, and nothing changed, when there is no room.
    mutating func add(_ content: Content, of source: Source) -> Bool {
        guard self.hasRoom(for: content) else { return false }
        if case .prompt(let number) = source { self.lastPrompt = number }
        let entry = Entry(source: source, content: content)
        self.size += entry.size
        self.entries.append(entry)
        return true
    }

    /// Puts an answer of the terminal before all chunks that are not begun. Only when no chunk is half written.
    mutating func insert(answer: [UInt8]) {
        self.rest = answer[...]
        self.isAnswer = true
    }

    /// Whether the next chunk may be begun; `isRead` says whether the terminal's input is empty. A key that sends a signal
    /// does not wait, nor does what is before it: the kernel drops unread input for it.
    mutating func isReady(at now: UInt64, _ settings: TerminalSettings, isRead: Bool) -> Bool {
        if settings.isLineMode || settings.isSignalling && self.hasSignal { return true }
        guard isRead else {
            self.readyAt = max(self.readyAt, now + Self.pause)
            return false
        }
        return now >= self.readyAt
    }

    /// Begins the next chunk, encoded as the program's modes ask for; the message whose first chunk it is, else nil.
    mutating func begin(_ modes: TerminalModes) -> (source: Source, content: Content)? {
        var first: Entry?
        if self.chunks.isEmpty, !self.entries.isEmpty {
            let entry = self.entries.removeFirst()
            (self.begun, first) = (entry, entry)
            self.chunks = Self.chunks(of: entry.content, modes)[...]
        }
        guard let chunk = self.chunks.popFirst() else { return nil }
        self.rest = chunk.bytes[...]
        self.pauseAfter = chunk.pause
        self.isAnswer = false
        return first.map { ($0.source, $0.content) }
    }

    /// Takes note that the terminal took so many bytes of `rest`; the source of the message that is all written by that.
    mutating func wrote(_ count: Int, at now: UInt64) -> Source? {
        self.rest = self.rest.dropFirst(count)
        guard self.rest.isEmpty, !self.isAnswer else { return nil }
        self.readyAt = now + self.pauseAfter
        guard self.chunks.isEmpty, let entry = self.begun else { return nil }
        self.begun = nil
        self.size -= entry.size
        return entry.source
    }

    private static func chunks(of content: Content, _ modes: TerminalModes) -> [Chunk] {
        switch content {
        case .bytes(let bytes):
            // Enter at the end of a line is a key of its own.
            let parts = bytes.count > 1 && bytes.last == 0x0D ? [Array(bytes.dropLast()), [0x0D]] : [bytes]
            return parts.map { Chunk(bytes: $0, pause: self.pause) }
        case .text(let text):
            return TypedText.chunks(text, isPasteMarked: modes.isPasteMarked)
                .map { Chunk(bytes: $0, pause: self.pause) }
        case .keys(let keys):
            return keys.map { key in
                let bytes = key.bytes(isApplicationCursor: modes.isApplicationCursor)
                return Chunk(bytes: bytes, pause: bytes == [0x1B] ? self.pauseAfterEscape : self.pause)
            }
        }
    }

    /// Whether ^C, ^\ or ^Z waits among the keys.
    private var hasSignal: Bool {
        let isSignal = { (bytes: [UInt8]) in bytes == [0x03] || bytes == [0x1C] || bytes == [0x1A] }
        if self.chunks.contains(where: { isSignal($0.bytes) }) { return true }
        return self.entries.contains { entry in
            guard case .keys(let keys) = entry.content else { return false }
            return keys.contains { isSignal($0.bytes(isApplicationCursor: false)) }
        }
    }
}
