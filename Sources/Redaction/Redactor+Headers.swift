/// Matchers of headers, Redis' protocol and command lines.
extension Redactor {
    /// The quote that opened what the name stands in: `-H "Cookie: …"`.
    static func openQuote(_ reader: MatchReader, before start: Int) -> Quote? {
        var place = start
        while place > max(0, start - 16), ByteSet.url.contains(reader.text[place - 1]) { place -= 1 }
        let mark = reader.previous(before: place)
        guard mark == UInt8(ascii: "\"") || mark == UInt8(ascii: "'") else { return nil }
        var count = 0
        while count < 8, reader.previous(count + 2, before: place) == UInt8(ascii: "\\") { count += 1 }
        return Quote(mark: mark, backslashes: count)
    }

    /// The credentials of an `Authorization` header, or all of a `Cookie`.
    func matchHeader(
        _ name: SecretName, _ reader: inout MatchReader, _ look: Look, _ notation: SecretValue.Notation, outer: Quote?
    ) -> SecretMatch {
        guard notation != .loose, notation != .flag else { return .none }
        let quote = reader.skipQuote() ?? (notation == .colon ? outer : nil)
        let rest = quote.map { SecretMatch.Continuation.quoted($0) } ?? .line
        var hasScheme = false
        if name.kind == .header {
            let place = reader.index
            let length = reader.skip(ByteSet.schemeName, most: 20)
            let word = String(decoding: reader.text[place..<place + length], as: UTF8.self).lowercased()
            hasScheme = Self.schemes.contains(word) && reader.skip(.space, most: 4) > 0
            if !hasScheme { reader.index = place }
        }
        let start = reader.index
        reader.harmless = start
        switch self.matchForm(at: start, look) {
        case .undecided: return look.isWhole ? .none : .undecided(harmlessBefore: start)
        case .secret: if name.kind == .header { return .none }
        case .none: break
        }
        let first = reader.peek()
        if first == 0 || first == 0x0a || first == 0x0d || "<{*[".utf8.contains(first) { return .none }
        if first == UInt8(ascii: "$"),
            "{(ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_".utf8.contains(reader.peek(1))
        {
            return .none
        }
        if first == UInt8(ascii: "%"), "s@".utf8.contains(reader.peek(1)) { return .none }
        let length = reader.skip(ByteSet.headerValue, most: 24)
        let value = reader.text[start..<start + length]
        if name.kind == .cookie {
            guard value.contains(UInt8(ascii: "=")) else { return .none }
        } else if hasScheme {
            guard !value.starts(with: "realm=".utf8), value.count >= 3 else { return .none }
            let isWord = value.allSatisfy { ByteSet.letters.contains($0) }
            guard !isWord || value.count >= 12 else { return .none }
        } else {
            guard value.count >= 8, value.contains(where: ByteSet.digits.contains),
                !value.contains(UInt8(ascii: "("))
            else { return .none }
        }
        return .secret(start..<start + length, label: name.label, rest: rest)
    }

    private static let schemes: Set<String> = [
        "bearer", "basic", "digest", "token", "negotiate", "ntlm", "apikey", "api-key", "key", "bot", "hawk",
        "aws4-hmac-sha256", "aws", "oauth", "googlelogin", "sharedkey", "sharedaccesssignature", "genie",
    ]

    /// The password of Redis' `AUTH`: as the protocol writes it, also with escaped line ends, in a log of commands, or typed.
    static func matchRedisAuth(_ reader: inout MatchReader) -> SecretMatch {
        let start = reader.index
        guard reader.isBoundary(start) else { return .none }
        reader.index += 4
        let isCapital = reader.text[start..<reader.index].elementsEqual("AUTH".utf8)
        if let first = self.skipArgument(&reader) {
            let save = reader.index
            let last = self.skipArgument(&reader) ?? first
            if last == first { reader.index = save }
            // A marker stays.
            guard reader.text[last.lowerBound] != UInt8(ascii: "[") else { return .none }
            return .secret(last, label: "password", rest: .nothing)
        }
        if let quote = reader.skipQuote() {
            var last: Range<Int>?
            while reader.skip(" "), reader.skipQuote() == quote, last == nil || reader.index - start < 400 {
                let begin = reader.index
                let end = self.skipQuoted(quote, &reader)
                guard reader.peek() == quote.mark else { break }
                last = begin..<end
                reader.index += 1
            }
            guard let last, !last.isEmpty, reader.text[last.lowerBound] != UInt8(ascii: "[") else { return .none }
            return .secret(last, label: "password", rest: .nothing)
        }
        guard isCapital, reader.skip(" ") else { return .none }
        var words: [Range<Int>] = []
        while words.count < 3 {
            let begin = reader.index
            guard reader.skip(ByteSet.visible, most: 256) > 0 else { break }
            words.append(begin..<reader.index)
            guard reader.skip(" ") else { break }
        }
        let end = reader.peek()
        guard let word = words.last, words.count <= 2, end == 0 || end == 0x0a || end == 0x0d || end == 0x5c else {
            return .none
        }
        let bytes = reader.text[word]
        let isDigits = bytes.allSatisfy(ByteSet.digits.contains)
        guard bytes.count >= 6, bytes.contains(where: ByteSet.digits.contains), !isDigits || words.count == 2 else {
            return .none
        }
        return .secret(word, label: "password", rest: .nothing)
    }

    /// A line end, `$` with a length, a line end and an argument of Redis' protocol; the argument.
    private static func skipArgument(_ reader: inout MatchReader) -> Range<Int>? {
        func skipEnd(_ reader: inout MatchReader) -> Bool {
            reader.skip("\r\n") || reader.skip("\\r\\n") || reader.skip("\\\\r\\\\n") || reader.skip("\n")
        }
        let save = reader.index
        guard skipEnd(&reader), reader.skip("$"), reader.skip(.digits, most: 6) > 0, skipEnd(&reader) else {
            reader.index = save
            return nil
        }
        let begin = reader.index
        reader.skip(ByteSet.argument, most: 256)
        guard reader.index > begin else {
            reader.index = save
            return nil
        }
        return begin..<reader.index
    }

    /// The secret after a program's flag.
    static func match(_ command: CommandSecret, _ reader: inout MatchReader) -> SecretMatch {
        let start = reader.index
        guard reader.isBoundary(start, besides: .url) else { return .none }
        reader.index += command.name.count
        while reader.index - start < 256 {
            let byte = reader.peek()
            if byte < 0x20 || byte == UInt8(ascii: "|") || byte == UInt8(ascii: ";") { return .none }
            guard reader.previous(before: reader.index) == 0x20 else {
                reader.index += 1
                continue
            }
            var distance = 0
            while distance < command.flag.count, reader.peek(distance) == command.flag[distance] { distance += 1 }
            guard distance == command.flag.count else {
                reader.index += 1
                continue
            }
            reader.index += distance
            return self.matchFlagValue(command, &reader)
        }
        return .none
    }

    private static func matchFlagValue(_ command: CommandSecret, _ reader: inout MatchReader) -> SecretMatch {
        let next = reader.peek()
        if next == 0x20 || next == UInt8(ascii: "=") {
            guard command.form != .attached else { return .none }
            reader.index += 1
        } else if command.form == .afterColon, command.flag.count > 2 {
            return .none
        }
        let quote = reader.skipQuote()
        var start = reader.index
        let end = quote.map { self.skipQuoted($0, &reader) } ?? self.skipBare(&reader, .flag)
        if command.form == .afterColon {
            // A marker.
            guard start < end, reader.text[start] != UInt8(ascii: "[") else { return .none }
            guard let colon = reader.text[start..<end].firstIndex(of: UInt8(ascii: ":")) else { return .none }
            start = colon + 1
        }
        let value = SecretValue(
            bytes: reader.text[start..<end], isQuoted: quote != nil, notation: .flag, kind: .password, isStrict: false,
            next: 0)
        guard start < end, reader.text[start] != UInt8(ascii: "-"), value.isSecret else { return .none }
        return .secret(start..<end, label: "password", rest: .nothing)
    }
}
