/// Parses and formats times in the RFC 3339 format. All times in the product are read and written here.
package enum RFC3339 {
    /// Parses a time from 1970 to 9999 and returns milliseconds since the epoch. Returns nil when the text is not a valid
    /// time, names a day that does not exist, or has text before or after the time. Truncates to the millisecond.
    package static func milliseconds(of text: String) -> UInt64? {
        var reader = Reader(rest: Array(text.utf8)[...])
        guard let date = reader.date(), reader.take("Tt ") != nil, let time = reader.timeOfDay(),
            let offset = reader.offset(), reader.rest.isEmpty
        else { return nil }
        let milliseconds = date.daysSinceEpoch * 86_400_000 + time - offset * 1000
        return milliseconds < 0 ? nil : UInt64(milliseconds)
    }

    /// Formats a time in UTC with milliseconds, such as `2026-12-24T18:00:00.000Z`.
    package static func text(of milliseconds: UInt64) -> String {
        self.text(of: milliseconds, hasFraction: true)
    }

    /// Formats a time in UTC to the second, such as `2026-12-24T18:00:00Z`.
    package static func secondsText(of milliseconds: UInt64) -> String {
        self.text(of: milliseconds, hasFraction: false)
    }

    private static func text(of milliseconds: UInt64, hasFraction: Bool) -> String {
        let total = Int(clamping: milliseconds)
        let date = CivilDate(daysSinceEpoch: total / 86_400_000)
        let time = total % 86_400_000
        let fraction = hasFraction ? ".\(self.padded(time % 1000, 3))" : ""
        return "\(self.padded(date.year, 4))-\(self.padded(date.month, 2))-\(self.padded(date.day, 2))T"
            + "\(self.padded(time / 3_600_000, 2)):\(self.padded(time / 60_000 % 60, 2)):"
            + "\(self.padded(time / 1000 % 60, 2))\(fraction)Z"
    }

    /// Formats a number with leading zeros to at least `width` digits.
    package static func padded(_ number: Int, _ width: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }

    /// Reads the parts of a time in order. Each function returns nil when its part is malformed.
    private struct Reader {
        var rest: ArraySlice<UInt8>

        mutating func digits(_ count: Int) -> Int? {
            let part = self.rest.prefix(count)
            guard part.count == count, part.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
            self.rest = self.rest.dropFirst(count)
            return part.reduce(0) { $0 * 10 + Int($1 - 0x30) }
        }

        mutating func take(_ wanted: String) -> UInt8? {
            guard let byte = self.rest.first, wanted.utf8.contains(byte) else { return nil }
            self.rest = self.rest.dropFirst()
            return byte
        }

        mutating func date() -> CivilDate? {
            guard let year = self.digits(4), self.take("-") != nil, let month = self.digits(2), self.take("-") != nil,
                let day = self.digits(2), year >= 1970
            else { return nil }
            return CivilDate(year: year, month: month, day: day)
        }

        /// Milliseconds since midnight.
        mutating func timeOfDay() -> Int? {
            guard let hour = self.digits(2), self.take(":") != nil, let minute = self.digits(2),
                self.take(":") != nil, let second = self.digits(2), hour < 24, minute < 60, second < 60
            else { return nil }
            var fraction = 0
            if self.take(".") != nil {
                let part = self.rest.prefix { (0x30...0x39).contains($0) }
                guard (1...9).contains(part.count) else { return nil }
                self.rest = self.rest.dropFirst(part.count)
                fraction = (Array(part.prefix(3)) + [0x30, 0x30]).prefix(3).reduce(0) { $0 * 10 + Int($1 - 0x30) }
            }
            return ((hour * 60 + minute) * 60 + second) * 1000 + fraction
        }

        /// Seconds by which the zone is ahead of UTC.
        mutating func offset() -> Int? {
            guard let direction = self.take("+-") else { return self.take("Zz") == nil ? nil : 0 }
            guard let hours = self.digits(2), self.take(":") != nil, let minutes = self.digits(2), hours < 24,
                minutes < 60
            else { return nil }
            return (hours * 60 + minutes) * 60 * (direction == UInt8(ascii: "-") ? -1 : 1)
        }
    }
}
