/// What waits to be typed at the program's terminal, in order and bounded.
struct InputQueue {
    enum Source: Equatable {
        /// Of the owner, known by its number.
        case prompt(UInt64)
        /// Of anyone, known by its key.
        case message([UInt8])
    }

    /// What is known of an owner's input, which it may repeat after it was away.
    enum Knowledge {
        case new
        case waiting
        case written
    }

    static let fullness = "the input queue is full"
    private static let limit = 1024 * 1024

    private var entries: [(source: Source, bytes: ArraySlice<UInt8>)] = []
    private var count = 0
    private var lastPrompt: UInt64 = 0

    var first: (source: Source, bytes: ArraySlice<UInt8>)? { self.entries.first }
    var isEmpty: Bool { self.entries.isEmpty }

    func hasRoom(for more: Int) -> Bool { self.count + more <= Self.limit }

    func knowledge(of prompt: UInt64) -> Knowledge {
        guard prompt <= self.lastPrompt else { return .new }
        return self.entries.contains { $0.source == .prompt(prompt) } ? .waiting : .written
    }

    /// False, and nothing changed, when there is no room.
    mutating func add(_ bytes: [UInt8], of source: Source) -> Bool {
        guard self.hasRoom(for: bytes.count) else { return false }
        if case .prompt(let number) = source { self.lastPrompt = number }
        self.count += bytes.count
        self.entries.append((source, bytes[...]))
        return true
    }

    /// Takes note that the terminal took so many bytes; the source of the first entry once it is all written.
    mutating func wrote(_ count: Int) -> Source? {
        guard !self.entries.isEmpty else { return nil }
        self.entries[0].bytes = self.entries[0].bytes.dropFirst(count)
        self.count -= count
        guard self.entries[0].bytes.isEmpty else { return nil }
        return self.entries.removeFirst().source
    }
}
