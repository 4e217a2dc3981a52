/// Private keys in PEM (RFC 7468), PGP and PuTTY's form, whole or cut short; and what else follows a secret.
extension Redactor {
    /// The begin of a private key.
    static func matchPrivateKey(_ reader: inout MatchReader) -> SecretMatch {
        let start = reader.index
        let isPuTTY = reader.peek() == UInt8(ascii: "P")
        if isPuTTY {
            reader.skip(ByteSet.printable, most: 80)
        } else {
            reader.skip(ByteSet.dash, most: 5)
            reader.skip(ByteSet.title, most: 48)
            let title = reader.text[start..<reader.index]
            guard title.firstRange(of: Array("PRIVATE KEY".utf8)) != nil else { return .none }
            reader.skip(ByteSet.dashOrSpace, most: 5)
        }
        let end = reader.index
        let next = reader.peek()
        let isLine = next == 0x0a || next == 0x0d || next == 0
        return .secret(start..<end, label: "private-key", rest: isLine ? .keyLines : .keyText)
    }

    /// Leaves out what belongs to the last secret. False when that does not end with the text that is here.
    mutating func dropRest(isFinal: Bool, into output: inout [UInt8]) -> Bool {
        switch self.rest {
        case .nothing: return true
        case .run(let set): return self.dropRun(set, isFinal: isFinal, into: &output)
        case .line: return self.dropLine(isFinal: isFinal, into: &output)
        case .quoted(let quote): return self.dropQuoted(quote, isFinal: isFinal, into: &output)
        case .keyText: return self.dropKeyText(isFinal: isFinal, into: &output)
        case .keyLines: return self.dropKeyLines(isFinal: isFinal, into: &output)
        }
    }

    private mutating func dropRun(_ set: ByteSet, isFinal: Bool, into output: inout [UInt8]) -> Bool {
        while true {
            var end = self.base
            while end < self.text.count, set.contains(self.text[end]) { end += 1 }
            self.drop(upTo: end, into: &output)
            guard end < self.text.count else {
                if isFinal { self.rest = .nothing }
                return isFinal
            }
            switch self.wrapped(set, at: end, isFinal: isFinal) {
            case nil: return false
            case false?:
                self.rest = .nothing
                return true
            case true?: self.emit(upTo: end + (self.text[end] == 0x0d ? 2 : 1), into: &output)
            }
        }
    }

    /// Whether a terminal wrapped the secret here: the line is long, and the next one goes on with small letters, capitals
    /// and digits, as neither words nor times nor digests do. Nil when more bytes decide it.
    private func wrapped(_ set: ByteSet, at index: Int, isFinal: Bool) -> Bool? {
        var reader = MatchReader(self.text, at: index, end: self.text.count)
        guard reader.skip("\r\n") || reader.skip("\n") else {
            return self.text[index] == 0x0d && reader.isShort && !isFinal ? nil : false
        }
        guard MatchReader.isWide(self.text, before: index) else { return false }
        let start = reader.index
        let length = reader.skip(set, most: 16)
        if reader.isShort, !isFinal { return nil }
        let bytes = self.text[start..<start + length]
        return length >= 8 && bytes.contains(where: ByteSet.digits.contains)
            && bytes.contains(where: ByteSet.small.contains) && bytes.contains(where: ByteSet.capitals.contains)
    }

    /// A quote after `=` opens a value within the line; any other ends it, as does an escaped line end.
    private mutating func dropLine(isFinal: Bool, into output: inout [UInt8]) -> Bool {
        var end = self.base
        var isEnd = isFinal
        while end < self.text.count {
            let byte = self.text[end]
            let isQuote = byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'")
            let last = end > self.base ? self.text[end - 1] : self.lastOfLine
            if byte < 0x20 && byte != 0x09 || (last == UInt8(ascii: "\\") && (byte == 0x6e || byte == 0x72)) {
                isEnd = true
                break
            }
            if isQuote, self.isInValue || last == UInt8(ascii: "=") {
                self.isInValue.toggle()
            } else if isQuote {
                isEnd = true
                break
            }
            end += 1
        }
        if isEnd {
            self.isInValue = false
            self.lastOfLine = 0
        } else if end > self.base {
            self.lastOfLine = self.text[end - 1]
        }
        self.drop(upTo: end, into: &output)
        if isEnd { self.rest = .nothing }
        return isEnd
    }

    private mutating func dropQuoted(_ quote: Quote, isFinal: Bool, into output: inout [UInt8]) -> Bool {
        var end = self.base
        while end < self.text.count {
            let byte = self.text[end]
            if byte == 0x0a || byte == 0x0d { break }
            if byte == quote.mark, self.backslashes % (2 * (quote.backslashes + 1)) == quote.backslashes { break }
            self.backslashes = byte == UInt8(ascii: "\\") ? self.backslashes + 1 : 0
            end += 1
        }
        let isEnd = end < self.text.count || isFinal
        // The backslashes of the closing quote stay with it; until it comes, all are held. No text has very many.
        let isHeld = self.backslashes <= Self.backslashLimit
        let isClosed = end < self.text.count && self.text[end] == quote.mark
        let kept = !isHeld ? 0 : isClosed ? quote.backslashes : isEnd ? 0 : self.backslashes
        self.drop(upTo: max(self.base, end - kept), into: &output)
        if isHeld { self.backslashes = 0 }
        if isEnd { self.rest = .nothing }
        return isEnd
    }

    private static let backslashLimit = 64

    private static let keyBytes = ByteSet("A-Za-z0-9+/=:, \\-")
    private static let keyEnd = Array("-----END".utf8)

    private mutating func dropKeyText(isFinal: Bool, into output: inout [UInt8]) -> Bool {
        var end = self.base
        while end < self.text.count, Self.keyBytes.contains(self.text[end]) {
            guard self.text[end] == UInt8(ascii: "-") else {
                end += 1
                continue
            }
            // 5 hyphens, END, a title, 5 hyphens.
            guard end + 64 <= self.text.count || isFinal || !self.mayContinue(from: end) else {
                self.drop(upTo: end, into: &output)
                return false
            }
            guard self.text[end...].starts(with: Self.keyEnd) else {
                end += 1
                continue
            }
            end += Self.keyEnd.count
            while end < self.text.count, ByteSet.title.contains(self.text[end]) { end += 1 }
            var count = 0
            while count < 5, end < self.text.count, self.text[end] == UInt8(ascii: "-") {
                end += 1
                count += 1
            }
            self.drop(upTo: end, into: &output)
            self.rest = .nothing
            return true
        }
        self.drop(upTo: end, into: &output)
        guard end < self.text.count || isFinal else { return false }
        self.rest = .nothing
        return true
    }

    /// True unless a byte that ends a key's text is here.
    private func mayContinue(from index: Int) -> Bool { self.text[index...].allSatisfy(Self.keyBytes.contains) }

    private mutating func dropKeyLines(isFinal: Bool, into output: inout [UInt8]) -> Bool {
        while true {
            while self.base < self.text.count, ByteSet.indentation.contains(self.text[self.base]) {
                self.emit(upTo: self.base + 1, into: &output)
            }
            self.cursor = max(self.cursor, self.base)
            let look = self.look(from: self.base, isFinal: isFinal)
            let start = self.base
            var end = start
            while end < look.end, self.text[end] != 0x0a, self.text[end] != 0x0d { end += 1 }
            guard end < look.end || look.isWhole else { return false }
            guard start < end else {
                // The text ends.
                if isFinal { self.rest = .nothing }
                return isFinal
            }
            let line = self.text[start..<end]
            let stop = line.firstRange(of: Self.keyEnd)
            guard stop != nil || Self.isKeyLine(line) else {
                self.rest = .nothing
                return true
            }
            output += "[redacted:private-key]".utf8
            if let stop {
                end = stop.upperBound
                while end < look.end, ByteSet.footer.contains(self.text[end]) { end += 1 }
            }
            self.drop(upTo: end, into: &output)
            if stop != nil {
                self.rest = .nothing
                return true
            }
        }
    }

    private static func isKeyLine(_ line: ArraySlice<UInt8>) -> Bool {
        if line.allSatisfy({ ByteSet.base64.contains($0) }) {
            return line.count >= 16 || line.contains { !ByteSet.letters.contains($0) }
        }
        return self.keyHeaders.contains { line.starts(with: $0.utf8) }
    }

    private static let keyHeaders = [
        "Proc-Type:", "DEK-Info:", "Comment:", "Version:", "Hash:", "Charset:", "Encryption:", "Public-Lines:",
        "Private-Lines:", "Private-MAC:", "Key-Derivation:", "Argon2-",
    ]
}
