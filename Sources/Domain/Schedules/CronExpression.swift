/// When a schedule is due: the five fields of crontab(5), minute hour day-of-month month day-of-week, in UTC, so that no
/// change of a clock skips or doubles a tick.
package struct CronExpression: Hashable, Sendable, CustomStringConvertible {
    package let text: String
    /// In ascending order.
    private let minutes: [Int]
    private let hours: [Int]
    private let days: Set<Int>
    private let months: Set<Int>
    /// 0 is Sunday.
    private let weekdays: Set<Int>
    /// As in cron: when both the day of the month and of the week are given, either suffices.
    private let eitherDay: Bool

    private static let names: [String: String] = [
        "@hourly": "0 * * * *", "@daily": "0 0 * * *", "@weekly": "0 0 * * 0", "@monthly": "0 0 1 * *",
    ]
    private static let monthNames = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ]
    private static let weekdayNames = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]

    /// Reads `*`, numbers, `a-b`, lists and steps (`*/5`, `8-18/2`), names of months and weekdays, and @hourly, @daily,
    /// @weekly, @monthly. Throws `DomainError` for anything else, and for a day that never comes.
    package init(_ text: String) throws(DomainError) {
        let fields = (Self.names[text] ?? text).split(separator: " ").map { $0.lowercased() }
        guard fields.count == 5 else {
            throw .invalidValue(
                "the schedule '\(Printable.text(text))' has not five fields: expected such as '30 3 * * 1'")
        }
        self.text = text
        self.minutes = try Self.values(fields[0], 0...59).sorted()
        self.hours = try Self.values(fields[1], 0...23).sorted()
        self.days = try Self.values(fields[2], 1...31)
        self.months = try Self.values(fields[3], 1...12, names: Self.monthNames, firstName: 1)
        self.weekdays = Set(
            try Self.values(fields[4], 0...7, names: Self.weekdayNames, firstName: 0).map { $0 % 7 })
        self.eitherDay = fields[2] != "*" && fields[4] != "*"
        guard self.next(after: 0) != nil else {
            throw .invalidValue("the schedule '\(Printable.text(text))' names a day that never comes")
        }
    }

    package var description: String { self.text }

    private static func values(
        _ field: String, _ range: ClosedRange<Int>, names: [String] = [], firstName: Int = 0
    ) throws(DomainError) -> Set<Int> {
        func wrong() -> DomainError {
            .invalidValue(
                "'\(Printable.text(field))' in a schedule: expected numbers from \(range.lowerBound) to \(range.upperBound), such as *, 5, 1-5, */10 or 1,15"
            )
        }
        func number(_ text: Substring) -> Int? {
            if let index = names.firstIndex(of: String(text)) { return index + firstName }
            return Int(text).flatMap { range.contains($0) ? $0 : nil }
        }
        var values: Set<Int> = []
        for part in field.split(separator: ",", omittingEmptySubsequences: false) {
            let pieces = part.split(separator: "/", omittingEmptySubsequences: false)
            guard pieces.count <= 2 else { throw wrong() }
            var step = 1
            if pieces.count == 2 {
                guard let given = Int(pieces[1]), (1...range.upperBound).contains(given) else { throw wrong() }
                step = given
            }
            var first = range.lowerBound
            var last = range.upperBound
            if pieces[0] != "*" {
                let ends = pieces[0].split(separator: "-", omittingEmptySubsequences: false)
                guard ends.count <= 2, let from = number(ends[0]) else { throw wrong() }
                first = from
                // `5/10` means from 5 on.
                last = pieces.count == 2 && ends.count == 1 ? range.upperBound : from
                if ends.count == 2 {
                    guard let to = number(ends[1]), to >= from else { throw wrong() }
                    last = to
                }
            }
            values.formUnion(stride(from: first, through: last, by: step))
        }
        return values
    }

    /// The first tick later than `time`, in milliseconds since the epoch; nil when none comes within five years.
    package func next(after time: UInt64) -> UInt64? {
        let minute = Int(clamping: time / 60_000) + 1
        var day = minute / 1440
        var from = minute % 1440
        for _ in 0..<(366 * 5) {
            if self.isDue(day: day), let found = self.minuteOfDay(from: from) {
                return UInt64(day * 1440 + found) * 60_000
            }
            day += 1
            from = 0
        }
        return nil
    }

    /// The last tick at or before `time`, in milliseconds since the epoch; nil when none came within five years.
    package func last(through time: UInt64) -> UInt64? {
        let minute = Int(clamping: time / 60_000)
        var day = minute / 1440
        var through = minute % 1440
        for _ in 0..<(366 * 5) {
            guard day >= 0 else { return nil }
            if self.isDue(day: day), let found = self.minuteOfDay(through: through) {
                return UInt64(day * 1440 + found) * 60_000
            }
            day -= 1
            through = 1439
        }
        return nil
    }

    private func minuteOfDay(from first: Int) -> Int? {
        for hour in self.hours where hour * 60 + 59 >= first {
            if let minute = self.minutes.first(where: { hour * 60 + $0 >= first }) { return hour * 60 + minute }
        }
        return nil
    }

    private func minuteOfDay(through last: Int) -> Int? {
        for hour in self.hours.reversed() where hour * 60 <= last {
            if let minute = self.minutes.last(where: { hour * 60 + $0 <= last }) { return hour * 60 + minute }
        }
        return nil
    }

    private func isDue(day: Int) -> Bool {
        let date = CivilDate(daysSinceEpoch: day)
        guard self.months.contains(date.month) else { return false }
        let isDay = self.days.contains(date.day)
        let isWeekday = self.weekdays.contains(date.weekday)
        return self.eitherDay ? isDay || isWeekday : isDay && isWeekday
    }
}
