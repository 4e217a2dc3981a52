/// Times as RFC 3339 writes them, and nothing before or behind.
enum RFC3339 {
    /// Milliseconds since the epoch of a time from 1970 to 9999; nil for anything else.
    static func milliseconds(of text: String) -> UInt64? {
        var rest = Array(text.utf8)[...]
        func digits(_ count: Int) -> Int? {
            let part = rest.prefix(count)
            guard part.count == count, part.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
            rest = rest.dropFirst(count)
            return part.reduce(0) { $0 * 10 + Int($1 - 0x30) }
        }
        func sign(_ wanted: String) -> UInt8? {
            guard let byte = rest.first, wanted.utf8.contains(byte) else { return nil }
            rest = rest.dropFirst()
            return byte
        }
        guard let year = digits(4), sign("-") != nil, let month = digits(2), sign("-") != nil, let day = digits(2),
            sign("Tt ") != nil, let hour = digits(2), sign(":") != nil, let minute = digits(2), sign(":") != nil,
            let second = digits(2), year >= 1970, (1...12).contains(month),
            (1...Self.days(of: month, in: year)).contains(day), hour < 24, minute < 60, second < 60
        else { return nil }
        var fraction = 0
        if sign(".") != nil {
            let part = rest.prefix { (0x30...0x39).contains($0) }
            guard (1...9).contains(part.count) else { return nil }
            rest = rest.dropFirst(part.count)
            fraction = (Array(part.prefix(3)) + [0x30, 0x30]).prefix(3).reduce(0) { $0 * 10 + Int($1 - 0x30) }
        }
        var offset = 0
        if let direction = sign("+-") {
            guard let hours = digits(2), sign(":") != nil, let minutes = digits(2), hours < 24, minutes < 60 else {
                return nil
            }
            offset = (hours * 60 + minutes) * 60 * (direction == UInt8(ascii: "-") ? -1 : 1)
        } else if sign("Zz") == nil {
            return nil
        }
        guard rest.isEmpty else { return nil }
        let days =
            (1970..<year).reduce(0) { $0 + (Self.isLeap($1) ? 366 : 365) }
            + (1..<month).reduce(0) { $0 + Self.days(of: $1, in: year) } + day - 1
        let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second - offset
        return seconds < 0 ? nil : UInt64(seconds) * 1000 + UInt64(fraction)
    }

    private static func isLeap(_ year: Int) -> Bool { year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) }

    private static func days(of month: Int, in year: Int) -> Int {
        switch month {
        case 2: self.isLeap(year) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }
}
