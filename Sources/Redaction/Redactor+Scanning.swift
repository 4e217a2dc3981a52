extension Redactor {
    /// How far the text is decided.
    enum Step {
        /// Nothing begins before this place.
        case clear(Int)
        /// More bytes decide what begins here; see `SecretMatch.undecided`.
        case undecided(Int, harmlessBefore: Int)
        case secret(Range<Int>, label: String, rest: SecretMatch.Continuation)
    }

    /// Looks for the first secret from `cursor` on.
    func nextSecret(isFinal: Bool) -> Step {
        let text = self.text.span
        let bits = self.rules.bits.span
        let end = text.count
        var index = self.cursor
        guard index + 2 < end else { return .clear(isFinal ? end : self.lineStart(from: index)) }
        var key = UInt32(text[index]) << 8 | UInt32(text[index + 1]) << 16
        while index + 2 < end {
            key = key >> 8 | UInt32(text[index + 2]) << 16
            let slot = RedactionRules.slot(key)
            if bits[slot >> 6] & (1 << UInt64(slot & 63)) != 0 {
                switch self.match(at: index, slot, isFinal: isFinal) {
                case .none: break
                case .undecided(let place): return .undecided(index, harmlessBefore: place)
                case .secret(let range, let label, let rest): return .secret(range, label: label, rest: rest)
                }
            }
            index += 1
        }
        // An anchor has three bytes.
        return .clear(isFinal ? end : self.lineStart(from: index))
    }

    /// The place behind the last line end from here on, or here: no anchor has a line end in it.
    private func lineStart(from index: Int) -> Int {
        var start = index
        for place in index..<self.text.count where self.text[place] == 0x0a || self.text[place] == 0x0d {
            start = place + 1
        }
        return start
    }

    /// Tries the anchors of a slot, the longest first.
    private func match(at index: Int, _ slot: Int, isFinal: Bool) -> SecretMatch {
        let look = self.look(from: index, isFinal: isFinal)
        for number in self.rules.candidates(slot) {
            switch self.compare(self.rules.entries[number], at: index) {
            case .no: continue
            case .short: if look.isWhole { continue } else { return .undecided(harmlessBefore: self.text.count) }
            case .yes: break
            }
            let result = self.match(self.rules.anchors[number], at: index, look)
            guard case .none = result else { return result }
        }
        return .none
    }

    func look(from index: Int, isFinal: Bool) -> Look {
        let end = min(self.text.count, index + Self.sight)
        return Look(end: end, isWhole: isFinal || end == index + Self.sight)
    }

    private enum Comparison { case no, yes, short }

    /// Whether an anchor's literal is here, as far as the text goes.
    private func compare(_ entry: RedactionRules.Entry, at index: Int) -> Comparison {
        let literals = self.rules.literals.span
        let text = self.text.span
        for offset in 0..<entry.count {
            guard index + offset < text.count else { return .short }
            var byte = text[index + offset]
            if entry.ignoresCase, byte &- 0x41 < 26 { byte |= 0x20 }
            guard byte == literals[entry.start + offset] else { return .no }
        }
        return .yes
    }

    private func match(_ anchor: RedactionRules.Anchor, at index: Int, _ look: Look) -> SecretMatch {
        var reader = MatchReader(self.text, at: index, end: look.end)
        let result: SecretMatch
        switch anchor.kind {
        case .known: return .secret(index..<index + anchor.literal.count, label: "known-secret", rest: .nothing)
        case .form(let form): result = Self.match(form, &reader)
        case .name(let name): result = self.match(name, &reader, look)
        case .address: result = Self.matchUserInfo(&reader)
        case .bearer: result = Self.matchBearer(&reader)
        case .basic: result = Self.matchBasic(&reader)
        case .webToken: result = Self.matchWebToken(&reader)
        case .privateKey: result = Self.matchPrivateKey(&reader)
        case .redisAuth: result = Self.matchRedisAuth(&reader)
        case .command(let command): result = Self.match(command, &reader)
        }
        return reader.isShort && !look.isWhole ? .undecided(harmlessBefore: reader.harmless) : result
    }

    /// The first place in the range at which a token begins or may begin; the range's end when there is none.
    func firstForm(in range: Range<Int>, _ look: Look) -> Int {
        for index in range where index + 2 < look.end {
            guard case .none = self.matchForm(at: index, look) else { return index }
        }
        return range.upperBound
    }

    /// What a token's form says of the text at a place, as if it stood alone.
    func matchForm(at index: Int, _ look: Look) -> SecretMatch {
        guard index + 2 < look.end else { return look.isWhole ? .none : .undecided(harmlessBefore: index) }
        let slot = RedactionRules.slot(
            UInt32(self.text[index]) | UInt32(self.text[index + 1]) << 8 | UInt32(self.text[index + 2]) << 16)
        guard self.rules.bits[slot >> 6] & (1 << UInt64(slot & 63)) != 0 else { return .none }
        for number in self.rules.candidates(slot) {
            switch self.compare(self.rules.entries[number], at: index) {
            case .no: continue
            case .short: if look.isWhole { continue } else { return .undecided(harmlessBefore: index) }
            case .yes: break
            }
            let anchor = self.rules.anchors[number]
            switch anchor.kind {
            case .form, .known, .webToken, .privateKey: break
            default: continue
            }
            let result = self.match(anchor, at: index, look)
            guard case .none = result else { return result }
        }
        return .none
    }
}
