/// Replaces secrets in a stream of bytes by markers such as `[redacted:github-token]`.
///
/// A value type without IO: bytes go in as they come, in pieces of any size, and the result is the same however they are
/// cut. Colours within a secret do not hide it. It holds at most the bytes that a decision needs, about a thousand, and
/// colours among them. Line ends are never removed, so that one line stays one line, and text without a secret is the same
/// byte for byte. Redacting twice is redacting once.
package struct Redactor: Sendable {
    let rules: RedactionRules
    /// What is visible: bytes that are out, kept to look back at, then bytes that are not.
    var text: [UInt8] = []
    /// The first byte of `text` that is not out.
    var base = 0
    /// The first byte of `text` that was not tried.
    var cursor = 0
    /// What follows the last secret and belongs to it.
    var rest = SecretMatch.Continuation.nothing
    /// Backslashes before the byte at `base`, while `rest` looks for a quote.
    var backslashes = 0
    /// The last byte left out, and whether a quote is open, while `rest` is a line.
    var lastOfLine: UInt8 = 0
    var isInValue = false
    var colours = Colours()
    private let isLive: Bool

    /// How far a matcher looks from its anchor.
    static let sight = 1024
    /// Bytes that are kept to look back at.
    static let memory = 96

    /// Looks for what the rules name. A live redactor shows at once what is no secret whatever follows, such as a prompt or
    /// the begin of a word that is being typed; then the known beginning of a token may stay before its marker.
    package init(_ rules: RedactionRules = .standard, isLive: Bool = false) {
        self.rules = rules
        self.isLive = isLive
    }

    /// Takes bytes and appends what is decided to `output`.
    package mutating func redact(_ bytes: [UInt8], into output: inout [UInt8]) {
        self.redact(bytes[...], into: &output)
    }

    /// Takes bytes and appends what is decided to `output`.
    package mutating func redact(_ bytes: ArraySlice<UInt8>, into output: inout [UInt8]) {
        self.colours.take(bytes, into: &self.text)
        self.advance(isFinal: false, into: &output)
        if self.base == self.text.count { self.colours.take(upTo: self.base, into: &output) }
        self.forget()
    }

    /// Appends what is left to `output`; the redactor is then as new.
    package mutating func finish(into output: inout [UInt8]) {
        self.colours.finish(into: &self.text)
        self.advance(isFinal: true, into: &output)
        self.colours.take(upTo: Int.max, into: &output)
        self = Redactor(self.rules, isLive: self.isLive)
    }

    /// A whole text at once.
    package static func redacted(_ bytes: [UInt8], _ rules: RedactionRules = .standard) -> [UInt8] {
        var redactor = Redactor(rules)
        var output: [UInt8] = []
        output.reserveCapacity(bytes.count)
        redactor.redact(bytes, into: &output)
        redactor.finish(into: &output)
        return output
    }

    /// A whole text at once.
    package static func redacted(_ text: String, _ rules: RedactionRules = .standard) -> String {
        String(decoding: self.redacted(Array(text.utf8), rules), as: UTF8.self)
    }

    private mutating func advance(isFinal: Bool, into output: inout [UInt8]) {
        while true {
            guard self.dropRest(isFinal: isFinal, into: &output) else { return }
            switch self.nextSecret(isFinal: isFinal) {
            case .clear(let end):
                self.emit(upTo: self.isLive ? self.text.count : end, into: &output)
                self.cursor = max(self.cursor, end)
                return
            case .undecided(let start, let place):
                self.emit(upTo: self.isLive ? max(start, place) : start, into: &output)
                self.cursor = start
                return
            case .secret(let range, _, _) where range.upperBound <= self.base:
                // A live redactor showed it before it was known.
                self.cursor = range.upperBound
            case .secret(let range, let label, let rest):
                self.emit(upTo: range.lowerBound, into: &output)
                self.colours.take(upTo: range.lowerBound, into: &output)
                output += "[redacted:\(label)]".utf8
                self.lastOfLine = self.text[range.upperBound - 1]
                self.isInValue = false
                self.drop(upTo: range.upperBound, into: &output)
                self.rest = rest
                self.backslashes = 0
            }
        }
    }

    /// Appends the text before `end`, with its colours.
    mutating func emit(upTo end: Int, into output: inout [UInt8]) {
        while self.base < end {
            let next = min(end, self.colours.nextPosition ?? end)
            if next > self.base {
                output += self.text[self.base..<next]
                self.base = next
            }
            if next < end { self.colours.take(upTo: next, into: &output) }
        }
    }

    /// Leaves out the text before `end`; its colours stay, so that those after it are right.
    mutating func drop(upTo end: Int, into output: inout [UInt8]) {
        guard end > self.base else { return }
        self.colours.take(upTo: end - 1, into: &output)
        // A line end within a wrapped secret stays.
        for byte in self.text[self.base..<end] where byte == 0x0a || byte == 0x0d { output.append(byte) }
        // What looks back sees the end of the marker, as it would the second time.
        self.text[end - 1] = UInt8(ascii: "]")
        self.base = end
        self.cursor = max(self.cursor, end)
    }

    private mutating func forget() {
        let start = min(self.base, self.cursor) - Self.memory
        guard start > 32 * 1024 || (start > 0 && self.base == self.text.count) else { return }
        self.text.removeFirst(start)
        self.base -= start
        self.cursor -= start
        self.colours.shift(by: start)
    }
}
