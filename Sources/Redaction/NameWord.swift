/// A word of a name in small letters, kept in two numbers: names are compared often, and a text of its own for each would
/// cost more than the comparison.
struct NameWord: Hashable, Sendable, ExpressibleByStringLiteral {
    private var low: UInt64 = 0
    private var high: UInt64 = 0
    /// How many bytes it has. Of a word above 16 only the first 16 count, which none of the lists has.
    private var count = 0
    private(set) var isNumber = true

    var isEmpty: Bool { self.count == 0 }

    init() {}

    init(stringLiteral text: String) {
        self.init()
        for byte in text.utf8 { self.append(byte) }
    }

    mutating func append(_ byte: UInt8) {
        if self.count < 8 {
            self.low = self.low << 8 | UInt64(byte)
        } else if self.count < 16 {
            self.high = self.high << 8 | UInt64(byte)
        }
        self.count += 1
        self.isNumber = self.isNumber && ByteSet.digits.contains(byte)
    }
}
