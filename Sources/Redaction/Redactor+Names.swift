/// Matchers of what a name, a command or a protocol identifies.
extension Redactor {
    /// A value after the name of a secret, in any notation.
    func match(_ name: SecretName, _ reader: inout MatchReader, _ look: Look) -> SecretMatch {
        let start = reader.index
        guard Self.isLeftRight(name, reader, start) else { return .none }
        reader.index += name.base.utf8.count
        reader.harmless = reader.index
        if name.kind == .statement { return Self.matchStatement(name, &reader) }
        guard let suffix = Self.skipSuffix(name, &reader) else { return .none }
        var notation = SecretValue.Notation.tight
        let isStrict = suffix == .unknown
        // What is written behind the name without a space may be a token.
        if isStrict {
            reader.harmless = self.firstForm(in: reader.harmless..<reader.index, look)
            guard reader.harmless == reader.index else { return .none }
        }
        reader.harmless = reader.index
        let quote = reader.skipQuote()
        if quote != nil, reader.peek() == UInt8(ascii: "]") { reader.index += 1 }
        let hasValue = Self.skipSeparator(&notation, &reader, nameAt: start, isQuoted: quote != nil)
        reader.harmless = reader.index
        guard hasValue else { return .none }
        if name.kind == .header || name.kind == .cookie {
            return self.matchHeader(name, &reader, look, notation, outer: Self.openQuote(reader, before: start))
        }
        return self.matchValue(name, &reader, look, notation, isStrict)
    }

    /// Whether what is before the name lets it be one.
    private static func isLeftRight(_ name: SecretName, _ reader: MatchReader, _ start: Int) -> Bool {
        let last = reader.previous(before: start)
        switch name.left {
        case .anything:
            guard name.base == "token" else { return true }
            return !SecretName.harmlessBefore.contains { Self.ends(reader, before: start, with: $0) }
        case .boundary:
            let isCamel = ByteSet.small.contains(last) && ByteSet.capitals.contains(reader.text[start])
            return !ByteSet.letters.contains(last) || isCamel || reader.isBoundary(start)
        case .qualifier: return SecretName.qualifiers.contains { Self.ends(reader, before: start, with: $0) }
        case .query:
            var place = start
            while place > max(0, start - 24), ByteSet.url.contains(reader.text[place - 1]) { place -= 1 }
            let byte = reader.previous(before: place)
            return byte == UInt8(ascii: "?") || byte == UInt8(ascii: "&")
        }
    }

    /// True when this word, in letters of either case, stands before the place, with at most one divider between.
    private static func ends(_ reader: MatchReader, before place: Int, with word: [UInt8]) -> Bool {
        var index = place
        if ByteSet.divider.contains(reader.previous(before: index)) { index -= 1 }
        guard index >= word.count else { return false }
        for (offset, byte) in word.enumerated() where reader.text[index - word.count + offset] | 0x20 != byte {
            return false
        }
        return true
    }

    private enum Suffix { case none, known, unknown }

    /// Passes the rest of the name: nil when it names something else than a secret.
    private static func skipSuffix(_ name: SecretName, _ reader: inout MatchReader) -> Suffix? {
        let start = reader.index
        reader.skip(.dotted, most: 48)
        // A sentence's end is no part of a name.
        while reader.index > start, reader.text[reader.index - 1] == UInt8(ascii: ".") { reader.index -= 1 }
        guard reader.index > start else { return Suffix.none }
        let text = reader.text[start..<reader.index]
        if name.left == .boundary, let first = text.first, ByteSet.small.contains(first) { return nil }
        var word = NameWord()
        var last = NameWord()
        var isKnown = true
        var before: UInt8 = 0
        func end() {
            guard !word.isEmpty else { return }
            last = word
            word = NameWord()
            isKnown = isKnown && (last.isNumber || SecretName.values.contains(last))
        }
        for byte in text {
            defer { before = byte }
            if byte == UInt8(ascii: "_") || byte == UInt8(ascii: "-") || byte == UInt8(ascii: ".") {
                end()
                continue
            }
            if ByteSet.capitals.contains(byte), ByteSet.small.contains(before) { end() }
            word.append(ByteSet.capitals.contains(byte) ? byte | 0x20 : byte)
        }
        end()
        if SecretName.properties.contains(last) { return nil }
        // `tokens`, `passwords`: a list or a count.
        if text.count == 1, last == "s" { return nil }
        return isKnown ? .known : .unknown
    }

    /// Passes what is between a name and its value; false when there is no value.
    private static func skipSeparator(
        _ notation: inout SecretValue.Notation, _ reader: inout MatchReader, nameAt start: Int, isQuoted: Bool
    ) -> Bool {
        let spaces = reader.skip(.space, most: 16)
        switch reader.peek() {
        case UInt8(ascii: "="):
            reader.index += 1
            if reader.peek() == UInt8(ascii: "=") {
                reader.skip(ByteSet.equals, most: 2)
                notation = .loose
            } else if reader.peek() == UInt8(ascii: ">") {
                reader.index += 1
                notation = .colon
            }
            let after = reader.skip(.space, most: 16)
            if notation == .tight, spaces + after > 0 { notation = .spaced }
        case UInt8(ascii: ":"):
            reader.index += 1
            notation = .colon
            if reader.peek() == UInt8(ascii: "=") {
                reader.index += 1
                notation = .spaced
            } else if reader.peek() == UInt8(ascii: ":") {
                return false
            }
            reader.skip(.space, most: 16)
            self.skipType(&reader)
        case UInt8(ascii: "?"), UInt8(ascii: "+"):
            guard reader.peek(1) == UInt8(ascii: "=") else { return false }
            reader.index += 2
            reader.skip(.space, most: 16)
            notation = .spaced
        case UInt8(ascii: "%"):
            guard reader.skip("%3D") || reader.skip("%3d") || reader.skip("%3A") || reader.skip("%3a") else {
                return false
            }
        case UInt8(ascii: "\\"):
            guard reader.skip("\\u003d") || reader.skip("\\u003D") else { return false }
        case UInt8(ascii: ","):
            guard isQuoted else { return false }
            reader.index += 1
            reader.skip(.space, most: 16)
            notation = .loose
        case UInt8(ascii: ">"):
            var place = start
            while place > max(0, start - 32), ByteSet.tagName.contains(reader.text[place - 1]) { place -= 1 }
            guard reader.previous(before: place) == UInt8(ascii: "<") else { return false }
            reader.index += 1
            notation = .tight
        default:
            guard spaces > 0 else { return false }
            let place = reader.index
            self.skipType(&reader)
            if reader.index > place {
                notation = .spaced
                return true
            }
            return reader.peek() != 0 && self.isFlag(&notation, reader, start)
        }
        return true
    }

    /// A name with hyphens before it, or the password of a line of `.netrc`; its value follows a space.
    private static func isFlag(
        _ notation: inout SecretValue.Notation, _ reader: MatchReader, _ start: Int
    ) -> Bool {
        var place = start
        while place > max(0, start - 32), ByteSet.url.contains(reader.text[place - 1]) { place -= 1 }
        notation = .flag
        if reader.text[place] == UInt8(ascii: "-"), place == 0 || !ByteSet.word.contains(reader.text[place - 1]) {
            return true
        }
        if ByteSet.quotes.contains(reader.text[reader.index]) {
            notation = .loose
            return true
        }
        // `machine HOST login NAME password VALUE`
        guard place >= 8, reader.text[place - 1] == 0x20 else { return false }
        var begin = place - 1
        while begin > max(6, place - 64), reader.text[begin - 1] > 0x20 { begin -= 1 }
        return reader.text[begin - 6..<begin].elementsEqual("login ".utf8)
    }

    /// Passes a type and what follows it, if a text is assigned: `password: String = "…"`, `var token string = "…"`.
    private static func skipType(_ reader: inout MatchReader) {
        let start = reader.index
        guard reader.skip(.typeName, most: 40) > 0, reader.skip(.space, most: 8) > 0, reader.peek() == UInt8(ascii: "=")
        else {
            reader.index = start
            return
        }
        reader.index += 1
        reader.skip(.space, most: 8)
        if !ByteSet.quotes.contains(reader.peek()) { reader.index = start }
    }

    /// The value in quotes or not.
    private func matchValue(
        _ name: SecretName, _ reader: inout MatchReader, _ look: Look, _ notation: SecretValue.Notation,
        _ isStrict: Bool
    ) -> SecretMatch {
        if ByteSet.literalMark.contains(reader.peek()),
            reader.peek(1) == UInt8(ascii: "\"") || reader.peek(1) == UInt8(ascii: "'")
        {
            reader.index += 1
        }
        let quote = reader.skipQuote()
        if quote == nil, notation == .loose { return .none }
        let start = reader.index
        reader.harmless = start
        // What has a form of its own is found there, by its name.
        switch self.matchForm(at: start, look) {
        case .none: break
        case .undecided: return look.isWhole ? .none : .undecided(harmlessBefore: start)
        case .secret: return .none
        }
        for scheme in ["Bearer ", "bearer ", "Basic ", "basic "] where reader.skip(scheme) { return .none }
        let end = quote.map { Self.skipQuoted($0, &reader) } ?? Self.skipBare(&reader, notation)
        let next = end < reader.end ? reader.text[end] : 0
        let value = SecretValue(
            bytes: reader.text[start..<end], isQuoted: quote != nil, notation: notation, kind: name.kind,
            isStrict: isStrict, next: next)
        // The working directory of a shell.
        if name.base == "pwd", start < end, reader.text[start] == UInt8(ascii: "/") { return .none }
        guard value.isSecret else { return .none }
        let isLong = end - start >= Self.valueLimit
        if let quote { return .secret(start..<end, label: name.label, rest: isLong ? .quoted(quote) : .nothing) }
        return .secret(start..<end, label: name.label, rest: isLong ? .run(.bearer) : .nothing)
    }

    /// Bytes of a value by which it is judged.
    static let valueLimit = 256

    /// Passes a text up to its closing quote, the end of the line, or the limit; its end.
    static func skipQuoted(_ quote: Quote, _ reader: inout MatchReader) -> Int {
        let start = reader.index
        var backslashes = 0
        while reader.index - start < Self.valueLimit {
            let byte = reader.peek()
            if byte == 0x0a || byte == 0x0d || (byte == 0 && reader.isShort) { break }
            if byte == quote.mark, backslashes % (2 * (quote.backslashes + 1)) == quote.backslashes {
                return reader.index - quote.backslashes
            }
            backslashes = byte == UInt8(ascii: "\\") ? backslashes + 1 : 0
            reader.index += 1
        }
        return reader.index
    }

    /// Passes a value without quotes; its end.
    static func skipBare(_ reader: inout MatchReader, _ notation: SecretValue.Notation) -> Int {
        let start = reader.index
        var open = 0
        while reader.index - start < Self.valueLimit {
            let byte = reader.peek()
            if byte <= 0x20 || byte == 0x7f || ByteSet.bareEnd.contains(byte) { break }
            if byte == UInt8(ascii: "&") || byte == UInt8(ascii: ";") || byte == UInt8(ascii: ","),
                Self.endsValue(&reader)
            {
                break
            }
            if ByteSet.opening.contains(byte) { open += 1 }
            if ByteSet.closing.contains(byte) {
                if open == 0, Self.endsValue(&reader) { break }
                open -= 1
            }
            if byte == UInt8(ascii: "\\"), ByteSet.escaped.contains(reader.peek(1)) { break }
            if byte == UInt8(ascii: "%"), reader.peek(1) == UInt8(ascii: "2"), reader.peek(2) == UInt8(ascii: "6") {
                break
            }
            reader.index += 1
        }
        return reader.index
    }

    /// True when the sign at the index ends a value: a name with `=`, a space, a closing sign or the end follows.
    private static func endsValue(_ reader: inout MatchReader) -> Bool {
        let next = reader.peek(1)
        if next <= 0x20 || ByteSet.pairEnd.contains(next) { return true }
        var distance = 1
        while distance < 40, ByteSet.pairName.contains(reader.peek(distance)) { distance += 1 }
        return distance > 1
            && (reader.peek(distance) == UInt8(ascii: "=") || reader.peek(distance) == UInt8(ascii: ":"))
    }

    /// `IDENTIFIED BY 'x'`, `requirepass x`.
    private static func matchStatement(_ name: SecretName, _ reader: inout MatchReader) -> SecretMatch {
        if let quote = reader.skipQuote(), quote.backslashes == 0 { reader.skip(.space, most: 1) }
        reader.skip(.space, most: 8)
        let quote = reader.skipQuote()
        guard quote != nil || reader.previous(before: reader.index) == 0x20 else { return .none }
        let start = reader.index
        let end = quote.map { self.skipQuoted($0, &reader) } ?? self.skipBare(&reader, .flag)
        let value = SecretValue(
            bytes: reader.text[start..<end], isQuoted: quote != nil, notation: .flag, kind: .password, isStrict: false,
            next: 0)
        guard value.isSecret else { return .none }
        return .secret(start..<end, label: name.label, rest: .nothing)
    }
}
