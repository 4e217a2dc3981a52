internal import Domain

/// The values of `format` that are enforced. The draft lets a validator ignore the keyword, but a policy that says
/// `format` relies on it: any other name is refused when the schema is loaded.
enum SchemaFormat: String, Sendable, CaseIterable {
    case date
    case time
    case dateTime = "date-time"
    case email
    case ipv4
    case ipv6
    case uri
    case uuid

    func admits(_ text: String) -> Bool {
        switch self {
        case .date: CalendarText.isDate(Array(text.utf8)[...])
        case .time: CalendarText.isTime(Array(text.utf8)[...])
        case .dateTime: CalendarText.isDateTime(Array(text.utf8)[...])
        case .email: AddressText.isMailbox(Array(text.utf8)[...])
        case .ipv4: AddressText.isIPv4(Array(text.utf8)[...])
        case .ipv6: AddressText.isIPv6(Array(text.utf8)[...])
        case .uri: AddressText.isURI(Array(text.utf8)[...])
        case .uuid: UUIDBytes(text: text) != nil
        }
    }
}

private func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

private func isLetter(_ byte: UInt8) -> Bool { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20) }

/// RFC 3339, of which a schema accepts more than the product's own times: leap seconds, and fractions of any length.
private enum CalendarText {
    static func isDateTime(_ text: ArraySlice<UInt8>) -> Bool {
        guard text.count > 11, text[10] | 0x20 == UInt8(ascii: "t") else { return false }
        return self.isDate(text[..<10]) && self.isTime(text[11...])
    }

    static func isDate(_ text: ArraySlice<UInt8>) -> Bool {
        let text = Array(text)
        guard text.count == 10, text[4] == UInt8(ascii: "-"), text[7] == UInt8(ascii: "-"),
            let year = self.number(text[0..<4]), let month = self.number(text[5..<7]),
            let day = self.number(text[8..<10])
        else { return false }
        return CivilDate(year: year, month: month, day: day) != nil
    }

    static func isTime(_ text: ArraySlice<UInt8>) -> Bool {
        let text = Array(text)
        guard text.count >= 9, text[2] == UInt8(ascii: ":"), text[5] == UInt8(ascii: ":"),
            let hour = self.number(text[0..<2]), let minute = self.number(text[3..<5]),
            let second = self.number(text[6..<8]), hour < 24, minute < 60, second < 61
        else { return false }
        var rest = text[8...]
        if rest.first == UInt8(ascii: ".") {
            let fraction = rest.dropFirst().prefix(while: isDigit)
            guard !fraction.isEmpty else { return false }
            rest = rest.dropFirst(1 + fraction.count)
        }
        guard let offset = self.offset(rest) else { return false }
        // A leap second is inserted at the end of a day in UTC.
        return second < 60 || (hour * 60 + minute - offset + 2 * 1_440) % 1_440 == 1_439
    }

    /// The minutes that a zone is ahead of UTC.
    private static func offset(_ text: ArraySlice<UInt8>) -> Int? {
        let text = Array(text)
        if text.count == 1, text[0] | 0x20 == UInt8(ascii: "z") { return 0 }
        guard text.count == 6, text[3] == UInt8(ascii: ":"), let hours = self.number(text[1..<3]),
            let minutes = self.number(text[4..<6]), hours < 24, minutes < 60
        else { return nil }
        switch text[0] {
        case UInt8(ascii: "+"): return hours * 60 + minutes
        case UInt8(ascii: "-"): return -(hours * 60 + minutes)
        default: return nil
        }
    }

    /// Of at most four digits.
    private static func number(_ digits: ArraySlice<UInt8>) -> Int? {
        var result = 0
        for byte in digits {
            guard isDigit(byte) else { return nil }
            result = result * 10 + Int(byte - UInt8(ascii: "0"))
        }
        return result
    }
}

/// RFC 791, 4291, 5321 and 3986.
private enum AddressText {
    static func isIPv4(_ text: ArraySlice<UInt8>) -> Bool {
        let parts = text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        return parts.count == 4
            && parts.allSatisfy { part in
                guard (1...3).contains(part.count), part.allSatisfy(isDigit) else { return false }
                guard part.count == 1 || part.first != UInt8(ascii: "0") else { return false }
                return part.reduce(0) { $0 * 10 + Int($1 - UInt8(ascii: "0")) } <= 255
            }
    }

    static func isIPv6(_ text: ArraySlice<UInt8>) -> Bool {
        let text = Array(text)
        guard (2...45).contains(text.count) else { return false }
        let colon = UInt8(ascii: ":")
        let gaps = (0..<text.count - 1).filter { text[$0] == colon && text[$0 + 1] == colon }
        guard let gap = gaps.first else { return self.groups(text[...]) == 8 }
        // Three colons in a row are two gaps.
        guard gaps.count == 1, let head = self.groups(text[..<gap], mayEndInIPv4: false),
            let tail = self.groups(text[(gap + 2)...])
        else { return false }
        return head + tail <= 7
    }

    /// How many groups of 16 bits the text spells, nil when it is not such a list.
    private static func groups(_ text: ArraySlice<UInt8>, mayEndInIPv4: Bool = true) -> Int? {
        guard !text.isEmpty else { return 0 }
        let parts = text.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
        var count = 0
        for (index, part) in parts.enumerated() {
            if (1...4).contains(part.count), part.allSatisfy({ Hexadecimal.value(of: $0) != nil }) {
                count += 1
            } else if mayEndInIPv4, index == parts.count - 1, self.isIPv4(part) {
                count += 2
            } else {
                return nil
            }
        }
        return count
    }

    static func isMailbox(_ text: ArraySlice<UInt8>) -> Bool {
        guard text.count <= 254, let at = text.lastIndex(of: UInt8(ascii: "@")) else { return false }
        let local = text[..<at]
        let domain = text[(at + 1)...]
        guard (1...64).contains(local.count), self.isDotted(local) || self.isQuoted(local) else { return false }
        guard domain.first == UInt8(ascii: "["), domain.last == UInt8(ascii: "]") else { return self.isHost(domain) }
        let literal = domain.dropFirst().dropLast()
        guard literal.starts(with: "IPv6:".utf8) else { return self.isIPv4(literal) }
        return self.isIPv6(literal.dropFirst(5))
    }

    private static func isDotted(_ text: ArraySlice<UInt8>) -> Bool {
        text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false).allSatisfy { atom in
            !atom.isEmpty && atom.allSatisfy { isLetter($0) || isDigit($0) || "!#$%&'*+-/=?^_`{|}~".utf8.contains($0) }
        }
    }

    private static func isQuoted(_ text: ArraySlice<UInt8>) -> Bool {
        guard text.count >= 2, text.first == UInt8(ascii: "\""), text.last == UInt8(ascii: "\"") else { return false }
        var isEscaped = false
        for byte in text.dropFirst().dropLast() {
            guard (0x20...0x7e).contains(byte), isEscaped || byte != UInt8(ascii: "\"") else { return false }
            isEscaped = !isEscaped && byte == UInt8(ascii: "\\")
        }
        return !isEscaped
    }

    private static func isHost(_ text: ArraySlice<UInt8>) -> Bool {
        text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false).allSatisfy { label in
            (1...63).contains(label.count) && label.first != UInt8(ascii: "-") && label.last != UInt8(ascii: "-")
                && label.allSatisfy { isLetter($0) || isDigit($0) || $0 == UInt8(ascii: "-") }
        }
    }

    /// With a scheme; a relative reference is none.
    static func isURI(_ text: ArraySlice<UInt8>) -> Bool {
        guard let colon = text.firstIndex(of: UInt8(ascii: ":")), let first = text.first, isLetter(first),
            text[..<colon].allSatisfy({ isLetter($0) || isDigit($0) || "+-.".utf8.contains($0) })
        else { return false }
        var rest = text[(colon + 1)...]
        for (mark, extra) in [(UInt8(ascii: "#"), ":@/?"), (UInt8(ascii: "?"), ":@/?")] {
            guard let start = rest.firstIndex(of: mark) else { continue }
            guard self.isPlain(rest[(start + 1)...], extra) else { return false }
            rest = rest[..<start]
        }
        if rest.starts(with: "//".utf8) {
            let authority = rest.dropFirst(2).prefix { $0 != UInt8(ascii: "/") }
            guard self.isAuthority(authority) else { return false }
            rest = rest.dropFirst(2 + authority.count)
        }
        return self.isPlain(rest, ":@/")
    }

    private static func isAuthority(_ text: ArraySlice<UInt8>) -> Bool {
        var host = text
        if let at = host.firstIndex(of: UInt8(ascii: "@")) {
            guard self.isPlain(host[..<at], ":") else { return false }
            host = host[(at + 1)...]
        }
        let port = host.reversed().prefix(while: isDigit)
        if host.dropLast(port.count).last == UInt8(ascii: ":") { host = host.dropLast(port.count + 1) }
        guard host.first == UInt8(ascii: "[") else { return self.isPlain(host, "") }
        return host.last == UInt8(ascii: "]") && self.isIPv6(host.dropFirst().dropLast())
    }

    /// Only unreserved characters, sub-delimiters, `%` with two digits, and the extra ones.
    private static func isPlain(_ text: ArraySlice<UInt8>, _ extra: String) -> Bool {
        var index = text.startIndex
        while index < text.endIndex {
            let byte = text[index]
            if byte == UInt8(ascii: "%") {
                let digits = text[(index + 1)...].prefix(2)
                guard digits.count == 2, digits.allSatisfy({ Hexadecimal.value(of: $0) != nil }) else { return false }
                index += 3
                continue
            }
            guard
                isLetter(byte) || isDigit(byte) || "-._~!$&'()*+,;=".utf8.contains(byte) || extra.utf8.contains(byte)
            else { return false }
            index += 1
        }
        return true
    }
}
