internal import Domain

/// Reads a JSON document byte by byte, and reports each number, text and literal with its path. Its memory does not grow
/// with the document: of a text it keeps the beginning only, so that an answer of any size can be read as it passes.
struct JSONScanner: Hashable, Sendable {
    /// What a leaf is.
    enum Kind: Hashable, Sendable {
        case text, number, literal
    }

    private enum State: Hashable, Sendable {
        /// A value is expected; after `[` the array may end instead.
        case value, valueOrEnd
        /// A member name is expected; after `{` the object may end instead.
        case name, nameOrEnd
        case colon, separator, done, malformed
        /// Inside a text, and behind a backslash in it.
        case text, escape
        /// Inside the digits of `\u`.
        case digits(Int)
        /// Inside a number or a literal.
        case word
    }

    /// Deeper documents are malformed. No provider nests its answers as deep.
    static let depthLimit = 128
    /// What is kept of a text.
    static let keptLimit = 256

    private var state = State.value
    private var arrays: [Bool] = []
    private var isName = false
    private var hasEscapes = false
    /// Whether the text is kept; most texts are only counted.
    private var isKept = false
    private var nameSize: UInt64 = 0

    /// The members and elements that lead to the last leaf.
    private(set) var path: [UsageMember] = []
    /// What the last leaf is.
    private(set) var kind = Kind.literal
    /// The beginning of the last leaf, as it was written.
    private(set) var kept: [UInt8] = []
    /// The size of the last leaf in bytes, with escapes decoded.
    private(set) var size: UInt64 = 0

    /// Whether a whole document was read, and nothing after it.
    var isDone: Bool { self.state == .done }
    /// Whether what was read is not JSON.
    var isMalformed: Bool { self.state == .malformed }
    /// Whether nothing was read yet, or blanks only.
    var isUntouched: Bool { self.state == .value && self.arrays.isEmpty }

    /// The size of the last leaf, and of its name where the provider does not define it.
    var sizeWithName: UInt64 {
        self.path.last == .other ? self.size.addingSaturated(self.nameSize) : self.size
    }

    /// The last leaf as text, at most `keptLimit` bytes of it.
    var keptText: String { Self.decoded(self.kept, hasEscapes: self.hasEscapes) }

    /// Whether the next byte is part of a text.
    var isInText: Bool { self.state == .text }

    /// Whether a byte stands for itself in a text.
    static func isPlain(_ byte: UInt8) -> Bool {
        byte >= 0x20 && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\")
    }

    /// Reads a run of plain bytes inside a text.
    mutating func scanPlainText(_ bytes: Span<UInt8>) {
        self.size = self.size.addingSaturated(UInt64(bytes.count))
        guard self.isKept else { return }
        for index in bytes.indices.prefix(Self.keptLimit - self.kept.count) { self.kept.append(bytes[index]) }
    }

    /// Prepares for the next document.
    mutating func reset() {
        self.state = .value
        self.arrays.removeAll(keepingCapacity: true)
        self.path.removeAll(keepingCapacity: true)
    }

    /// Ends a number or literal if the next byte is not part of it. Returns whether that was a leaf. Only the next byte shows
    /// the end of a number, and `path` is that of the leaf until this byte is read.
    mutating func endWord(before byte: UInt8) -> Bool {
        guard self.state == .word, !Self.isWordByte(byte) else { return false }
        return self.endWord()
    }

    /// Reads one byte, after `endWord(before:)`. Returns whether it ended a text that is a leaf.
    mutating func scan(_ byte: UInt8) -> Bool {
        switch self.state {
        case .text: return self.scanText(byte)
        case .escape:
            self.keep(byte)
            self.state = byte == UInt8(ascii: "u") ? .digits(4) : .text
            self.size += byte == UInt8(ascii: "u") ? 3 : 1
            return false
        case .digits(let left):
            self.keep(byte)
            self.state = left > 1 ? .digits(left - 1) : .text
            if Hexadecimal.value(of: byte) == nil { self.state = .malformed }
            return false
        case .word:
            self.keep(byte)
            self.size += 1
            return false
        case .malformed: return false
        default:
            self.scanStructure(byte)
            return false
        }
    }

    private mutating func keep(_ byte: UInt8) {
        if self.isKept, self.kept.count < Self.keptLimit { self.kept.append(byte) }
    }

    private mutating func scanText(_ byte: UInt8) -> Bool {
        if byte == UInt8(ascii: "\\") {
            self.keep(byte)
            self.hasEscapes = true
            self.state = .escape
            return false
        }
        guard byte == UInt8(ascii: "\"") else {
            self.keep(byte)
            self.size += 1
            if byte < 0x20 { self.state = .malformed }
            return false
        }
        guard self.isName else {
            self.kind = .text
            self.endValue()
            return true
        }
        self.nameSize = self.size
        self.setName()
        self.state = .colon
        return false
    }

    private mutating func setName() {
        guard !self.path.isEmpty else { return }
        let name = self.hasEscapes ? Array(self.keptText.utf8) : self.kept
        self.path[self.path.count - 1] = .named(name)
    }

    private mutating func scanStructure(_ byte: UInt8) {
        if byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 { return }
        switch (self.state, byte) {
        case (.value, UInt8(ascii: "{")), (.valueOrEnd, UInt8(ascii: "{")): self.push(isArray: false)
        case (.value, UInt8(ascii: "[")), (.valueOrEnd, UInt8(ascii: "[")): self.push(isArray: true)
        case (.value, UInt8(ascii: "\"")), (.valueOrEnd, UInt8(ascii: "\"")): self.begin(.text, isName: false)
        case (.name, UInt8(ascii: "\"")), (.nameOrEnd, UInt8(ascii: "\"")): self.begin(.text, isName: true)
        case (.valueOrEnd, UInt8(ascii: "]")), (.nameOrEnd, UInt8(ascii: "}")): self.pop()
        case (.colon, UInt8(ascii: ":")): self.state = .value
        case (.separator, UInt8(ascii: ",")): self.state = self.arrays.last == true ? .value : .name
        case (.separator, UInt8(ascii: "]")) where self.arrays.last == true: self.pop()
        case (.separator, UInt8(ascii: "}")) where self.arrays.last == false: self.pop()
        case (.value, _) where Self.isWordByte(byte), (.valueOrEnd, _) where Self.isWordByte(byte):
            self.begin(.word, isName: false)
            self.keep(byte)
            self.size = 1
        default: self.state = .malformed
        }
    }

    private mutating func begin(_ state: State, isName: Bool) {
        self.state = state
        self.isName = isName
        self.hasEscapes = false
        self.size = 0
        self.isKept = isName || state == .word || self.path.last?.isKept ?? false
        self.kept.removeAll(keepingCapacity: true)
    }

    private mutating func push(isArray: Bool) {
        guard self.arrays.count < Self.depthLimit else {
            self.state = .malformed
            return
        }
        self.arrays.append(isArray)
        self.path.append(isArray ? .element : .other)
        self.state = isArray ? .valueOrEnd : .nameOrEnd
    }

    private mutating func pop() {
        guard self.arrays.popLast() != nil, self.path.popLast() != nil else {
            self.state = .malformed
            return
        }
        self.endValue()
    }

    private mutating func endValue() { self.state = self.arrays.isEmpty ? .done : .separator }

    /// Ends a number or literal. Returns whether it is one.
    private mutating func endWord() -> Bool {
        switch self.kept {
        case Array("true".utf8), Array("false".utf8), Array("null".utf8): self.kind = .literal
        default:
            guard TokenCount.isNumber(self.kept) else {
                self.state = .malformed
                return false
            }
            self.kind = .number
        }
        self.endValue()
        return true
    }

    private static func isWordByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "E"),
            UInt8(ascii: "-"), UInt8(ascii: "+"), UInt8(ascii: "."):
            true
        default: false
        }
    }

    private static func decoded(_ bytes: [UInt8], hasEscapes: Bool) -> String {
        guard hasEscapes else { return String(decoding: bytes, as: UTF8.self) }
        let quoted = [UInt8(ascii: "\"")] + bytes + [UInt8(ascii: "\"")]
        do throws(DomainError) { return try JSONParser.parse(quoted).string ?? "" } catch { return "" }
    }
}
