internal import Domain

/// Matchers of what its form identifies.
extension Redactor {
    static func match(_ form: TokenForm, _ reader: inout MatchReader) -> SecretMatch {
        let start = reader.index
        let isBounded = !form.needsBoundary || reader.isBoundary(start)
        if !isBounded, form.check != .checksum { return .none }
        reader.index += form.prefix.count
        let body = reader.index
        reader.harmless = body
        var last = ByteSet.alnum
        for (number, part) in form.parts.enumerated() {
            let isOpen = number == form.parts.count - 1 && !form.isExact
            guard
                reader.skipWrapped(part.set, most: isOpen ? part.length.lowerBound : part.length.upperBound)
                    >= part.length.lowerBound
            else { return .none }
            last = part.set
        }
        if form.isExact, ByteSet.word.contains(reader.peek()) { return .none }
        let bytes = reader.text[body..<reader.index]
        switch form.check {
        case .none: break
        case .varied: guard Self.isVaried(bytes) else { return .none }
        case .checksum:
            guard (isBounded && Self.isVaried(bytes)) || TokenChecksum.holds(for: bytes) else { return .none }
        }
        return .secret(start..<reader.index, label: form.label, rest: form.isExact ? .nothing : .run(last))
    }

    /// Six different bytes, and a digit or letters of both cases: no placeholder, no name.
    static func isVaried(_ bytes: ArraySlice<UInt8>) -> Bool {
        var seen: (UInt64, UInt64) = (0, 0)
        var (hasDigit, hasSmall, hasCapital) = (false, false, false)
        for byte in bytes.prefix(64) {
            if byte < 64 { seen.0 |= 1 << UInt64(byte) } else { seen.1 |= 1 << UInt64(byte & 63) }
            switch byte {
            case 0x30...0x39: hasDigit = true
            case 0x41...0x5a: hasCapital = true
            case 0x61...0x7a: hasSmall = true
            default: break
            }
        }
        return seen.0.nonzeroBitCount + seen.1.nonzeroBitCount >= 6 && (hasDigit || (hasSmall && hasCapital))
    }

    /// A JSON Web Token or its header (RFC 7519): `{"` in base64url, then a period and more.
    static func matchWebToken(_ reader: inout MatchReader) -> SecretMatch {
        let start = reader.index
        guard reader.isBoundary(start) else { return .none }
        let length = reader.skip(.url)
        let isHeader = ["eyJhbGci", "eyJ0eXAi", "eyJraWQi", "eyJlbmMi", "eyJjdHki", "eyJ4NX", "eyJqa3Ui", "eyJqd2si"]
            .contains { reader.text[start..<reader.index].starts(with: $0.utf8) }
        guard length >= 12 else { return .none }
        let end = reader.index
        let hasMore = reader.skip(".") && reader.skip(.url, most: 8) >= 8
        guard hasMore || (isHeader && length >= 16) else { return .none }
        return .secret(start..<(hasMore ? reader.index : end), label: "jwt", rest: .run(.dotted))
    }

    /// `Bearer X` (RFC 6750), where X is long and has digits. After the word in small letters, which prose has, X is neither a
    /// digest nor an identifier.
    static func matchBearer(_ reader: inout MatchReader) -> SecretMatch {
        guard reader.isBoundary(reader.index) else { return .none }
        let isWord = reader.text[reader.index] == UInt8(ascii: "b")
        reader.index += 6
        guard reader.skip(.space, most: 4) > 0 else { return .none }
        let start = reader.index
        let length = reader.skip(.bearer, most: 32)
        let bytes = reader.text[start..<start + length]
        guard length >= 16, bytes.contains(where: ByteSet.digits.contains), Self.isVaried(bytes) else { return .none }
        if isWord, !bytes.contains(where: ByteSet.capitals.contains) { return .none }
        return .secret(start..<reader.index, label: "bearer-token", rest: .run(.bearer))
    }

    /// `Basic X` (RFC 7617), where X is `user:password` in base64.
    static func matchBasic(_ reader: inout MatchReader) -> SecretMatch {
        guard reader.isBoundary(reader.index) else { return .none }
        reader.index += 5
        guard reader.skip(.space, most: 4) > 0 else { return .none }
        let start = reader.index
        let length = reader.skip(.base64, most: 64)
        guard length >= 8, Self.isUserAndPassword(reader.text[start..<start + length]) else { return .none }
        return .secret(start..<reader.index, label: "basic-credentials", rest: .run(.base64))
    }

    /// True for printable text with a colon, in base64.
    static func isUserAndPassword(_ bytes: ArraySlice<UInt8>) -> Bool {
        var (bits, count, hasColon, decoded): (UInt32, Int, Bool, Int) = (0, 0, false, 0)
        for byte in bytes {
            let value: UInt32
            switch byte {
            case 0x41...0x5a: value = UInt32(byte) - 0x41
            case 0x61...0x7a: value = UInt32(byte) - 0x61 + 26
            case 0x30...0x39: value = UInt32(byte) - 0x30 + 52
            case UInt8(ascii: "+"): value = 62
            case UInt8(ascii: "/"): value = 63
            default: return hasColon && decoded >= 3
            }
            bits = bits << 6 | value
            count += 6
            guard count >= 8 else { continue }
            count -= 8
            let plain = UInt8(truncatingIfNeeded: bits >> UInt32(count))
            guard plain >= 0x20, plain < 0x7f else { return false }
            hasColon = hasColon || plain == UInt8(ascii: ":")
            decoded += 1
        }
        return hasColon && decoded >= 3
    }

    /// The password of `scheme://user:password@host` (RFC 3986 §3.2.1), or a user that is a token.
    static func matchUserInfo(_ reader: inout MatchReader) -> SecretMatch {
        guard ByteSet.urlScheme.contains(reader.previous(before: reader.index)) else { return .none }
        reader.index += 3
        let start = reader.index
        // A marker, or an address of IPv6.
        guard reader.peek() != UInt8(ascii: "[") else { return .none }
        var (colon, at): (Int?, Int?) = (nil, nil)
        let ends = ByteSet.urlEnd
        while reader.index - start < 512 {
            let byte = reader.peek()
            if byte == 0 || ends.contains(byte) { break }
            if byte == UInt8(ascii: ":"), colon == nil { colon = reader.index }
            if byte == UInt8(ascii: "@") { at = reader.index }
            reader.index += 1
        }
        guard let at else { return .none }
        guard let colon, colon < at else {
            let user = reader.text[start..<at]
            guard user.count >= 20, Self.isVaried(user), user.contains(where: ByteSet.digits.contains) else {
                return .none
            }
            return .secret(start..<at, label: "url-credentials", rest: .nothing)
        }
        let value = SecretValue(
            bytes: reader.text[colon + 1..<at], isQuoted: true, notation: .tight, kind: .password, isStrict: false,
            next: UInt8(ascii: "@"))
        guard colon + 1 < at, !value.isTemplate else { return .none }
        return .secret(colon + 1..<at, label: "url-password", rest: .nothing)
    }
}
