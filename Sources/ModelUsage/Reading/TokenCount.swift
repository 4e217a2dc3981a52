/// A number of tokens as a provider wrote it.
struct TokenCount: Hashable, Sendable {
    /// The number, at most `TokenUsage.limit`.
    let value: UInt64
    /// Whether the text is exactly this number; false for a fraction, which is rounded up, and above the limit.
    let isExact: Bool

    /// Returns nil for a negative number. Takes the text of a JSON number.
    init?(_ text: [UInt8]) {
        if text.allSatisfy({ (0x30...0x39).contains($0) }) {
            var value: UInt64 = 0
            for digit in text {
                value = value * 10 + UInt64(digit - 0x30)
                guard value <= TokenUsage.limit else {
                    self.init(value: TokenUsage.limit, isExact: false)
                    return
                }
            }
            self.init(value: value, isExact: true)
            return
        }
        guard let number = Double(String(decoding: text, as: UTF8.self)), number >= 0 else { return nil }
        guard number <= Double(TokenUsage.limit), let whole = UInt64(exactly: number.rounded(.up)) else {
            self.init(value: TokenUsage.limit, isExact: false)
            return
        }
        self.init(value: whole, isExact: Double(whole) == number)
    }

    private init(value: UInt64, isExact: Bool) {
        self.value = value
        self.isExact = isExact
    }

    /// Whether the bytes are a number of JSON (RFC 8259 §6), or the beginning of a longer one.
    static func isNumber(_ text: [UInt8]) -> Bool {
        var rest = text[...]
        if rest.first == UInt8(ascii: "-") { rest = rest.dropFirst() }
        guard let first = rest.first, self.isDigit(first) else { return false }
        rest = first == UInt8(ascii: "0") ? rest.dropFirst() : rest.drop(while: self.isDigit)
        if rest.first == UInt8(ascii: ".") {
            rest = rest.dropFirst()
            guard let digit = rest.first, self.isDigit(digit) else { return false }
            rest = rest.drop(while: self.isDigit)
        }
        if rest.first == UInt8(ascii: "e") || rest.first == UInt8(ascii: "E") {
            rest = rest.dropFirst()
            if rest.first == UInt8(ascii: "+") || rest.first == UInt8(ascii: "-") { rest = rest.dropFirst() }
            guard let digit = rest.first, self.isDigit(digit) else { return false }
            rest = rest.drop(while: self.isDigit)
        }
        return rest.isEmpty
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }
}
