import Domain
import Foundation
import Testing

@Suite("CronExpression")
struct CronExpressionTests {
    private static func time(_ text: String) throws -> UInt64 {
        UInt64(try Date(text, strategy: .iso8601).timeIntervalSince1970 * 1000)
    }

    private static func text(_ time: UInt64?) -> String? {
        time.map { Date(timeIntervalSince1970: Double($0) / 1000).formatted(.iso8601) }
    }

    private func next(_ cron: String, after: String) throws -> String? {
        Self.text(try CronExpression(cron).next(after: try Self.time(after)))
    }

    private func last(_ cron: String, through: String) throws -> String? {
        Self.text(try CronExpression(cron).last(through: try Self.time(through)))
    }

    // MARK: - Fields

    @Test(
        "a minute's field: a star, a number, a list, a range, and steps",
        arguments: [
            ("*", Array(0...59)), ("7", [7]), ("0,30", [0, 30]), ("58-59", [58, 59]), ("*/20", [0, 20, 40]),
            ("10-30/10", [10, 20, 30]), ("50/4", [50, 54, 58]), ("1,5-7,*/30", [0, 1, 5, 6, 7, 30]), ("5,5", [5]),
            ("9-9", [9]), ("0-59/59", [0, 59]),
        ])
    func minutes(field: String, expected: [Int]) throws {
        let cron = try CronExpression("\(field) 12 1 1 *")
        var time = try Self.time("2027-01-01T00:00:00Z")
        var found: [Int] = []
        while let next = cron.next(after: time), next < (try Self.time("2027-01-02T00:00:00Z")) {
            found.append(Int(next / 60_000 % 60))
            time = next
        }
        #expect(found == expected)
    }

    @Test("an hour's field has 0 to 23", arguments: [("0", 0), ("23", 23), ("*/23", 0)])
    func hours(field: String, hour: UInt64) throws {
        let next = try #require(
            try CronExpression("0 \(field) * * *").next(after: try Self.time("2026-12-31T23:30:00Z")))
        #expect(next / 3_600_000 % 24 == hour)
    }

    @Test(
        "months have names and numbers, in any case",
        arguments: [
            ("1", "jan"), ("2", "FEB"), ("3", "Mar"), ("4", "apr"), ("5", "may"), ("6", "jun"), ("7", "jul"),
            ("8", "aug"),
            ("9", "sep"), ("10", "oct"), ("11", "nov"), ("12", "dec"), ("3-5", "mar-may"), ("1,12", "jan,dec"),
        ])
    func months(number: String, name: String) throws {
        let start = try Self.time("2026-11-22T00:00:00Z")
        #expect(
            try CronExpression("0 0 1 \(number) *").next(after: start)
                == (try CronExpression("0 0 1 \(name) *").next(after: start)))
    }

    @Test(
        "weekdays have names and numbers, and Sunday has two",
        arguments: [
            ("0", "sun"), ("7", "sun"), ("1", "mon"), ("2", "Tue"), ("3", "WED"), ("4", "thu"), ("5", "fri"),
            ("6", "sat"),
            ("1-5", "mon-fri"), ("5-7", "5,6,0"),
        ])
    func weekdays(number: String, name: String) throws {
        for start in ["2026-11-22T00:00:00Z", "2026-11-24T12:00:00Z", "2026-11-27T23:59:00Z"] {
            #expect(
                try self.next("0 0 * * \(number)", after: start) == (try self.next("0 0 * * \(name)", after: start)))
        }
    }

    @Test(
        "the short forms are what they stand for",
        arguments: [
            ("@hourly", "0 * * * *"), ("@daily", "0 0 * * *"), ("@weekly", "0 0 * * 0"), ("@monthly", "0 0 1 * *"),
        ])
    func shortForms(short: String, long: String) throws {
        for start in ["2026-11-22T00:00:00Z", "2026-12-31T23:59:59Z"] {
            #expect(try self.next(short, after: start) == (try self.next(long, after: start)))
        }
    }

    @Test("spaces between fields may be several")
    func spaces() throws {
        #expect(try self.next("  0   3 * *  * ", after: "2026-11-22T00:00:00Z") == "2026-11-22T03:00:00Z")
    }

    @Test("an expression prints as it was given")
    func description() throws { #expect("\(try CronExpression("@daily"))" == "@daily") }

    @Test(
        "a field out of its range is refused",
        arguments: [
            "60 * * * *", "0-60 * * * *", "* 24 * * *", "* * 32 * *", "* * 0 * *", "* * * 0 *", "* * * 13 *",
            "* * * * 8", "*/60 * * * *", "* */24 * * *",
        ])
    func outOfRange(text: String) { #expect(throws: DomainError.self) { try CronExpression(text) } }

    @Test(
        "a malformed field is refused",
        arguments: [
            "a * * * *", "1- * * * *", "-1 * * * *", "1-2-3 * * * *", "1/2/3 * * * *", "*/ * * * *", "/5 * * * *",
            ", * * * *", "1, * * * *", "5-1 * * * *", "** * * * *", "1.5 * * * *", "mon * * * *", "* * * mon *",
            "* * * * jan", "*-5 * * * *", "٣ * * * *",
        ])
    func malformed(text: String) { #expect(throws: DomainError.self) { try CronExpression(text) } }

    @Test("fewer or more than five fields are refused", arguments: ["", "*", "* * * *", "* * * * * *", "@yearly"])
    func fieldCount(text: String) { #expect(throws: DomainError.self) { try CronExpression(text) } }

    @Test("a day that no year has is refused", arguments: ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 31 2 *"])
    func noSuchDay(text: String) { #expect(throws: DomainError.self) { try CronExpression(text) } }

    // MARK: - Days

    @Test("with a day of the month and one of the week either suffices")
    func eitherDay() throws {
        #expect(try self.next("0 0 13 * fri", after: "2026-11-13T00:00:00Z") == "2026-11-20T00:00:00Z")
        #expect(try self.next("0 0 13 * fri", after: "2026-12-11T00:00:00Z") == "2026-12-13T00:00:00Z")
    }

    @Test("with a star for one of them only the other counts")
    func oneDay() throws {
        #expect(try self.next("0 0 13 * *", after: "2026-11-13T00:00:00Z") == "2026-12-13T00:00:00Z")
        #expect(try self.next("0 0 * * fri", after: "2026-11-13T00:00:00Z") == "2026-11-20T00:00:00Z")
    }

    @Test(
        "the 29th of February comes in leap years only",
        arguments: [
            ("2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"), ("2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"),
            ("1999-01-01T00:00:00Z", "2000-02-29T00:00:00Z"),
        ])
    func leapDay(after: String, expected: String) throws {
        #expect(try self.next("0 0 29 2 *", after: after) == expected)
    }

    @Test("2100 is no leap year")
    func centuries() throws {
        #expect(try self.next("0 0 28,29 2 *", after: "2100-02-28T00:00:00Z") == "2101-02-28T00:00:00Z")
    }

    @Test("months without a 31st are passed over")
    func lastOfMonth() throws {
        #expect(try self.next("0 0 31 * *", after: "2027-03-31T00:00:00Z") == "2027-05-31T00:00:00Z")
    }

    // MARK: - Next and last

    @Test("the next tick is later than the time, and the last one may be it")
    func atTick() throws {
        #expect(try self.next("30 3 * * *", after: "2026-11-22T03:30:00Z") == "2026-11-23T03:30:00Z")
        #expect(try self.last("30 3 * * *", through: "2026-11-22T03:30:00Z") == "2026-11-22T03:30:00Z")
    }

    @Test("a tick lasts for its minute")
    func withinMinute() throws {
        let tick = try Self.time("2026-11-22T03:30:00Z")
        let cron = try CronExpression("30 3 * * *")
        #expect(cron.last(through: tick + 59_999) == tick)
        #expect(cron.last(through: tick - 1) == tick - 86_400_000)
        #expect(cron.next(after: tick - 1) == tick)
    }

    @Test(
        "the last tick goes back over days, months and leap years",
        arguments: [
            ("0 0 1 1 *", "2026-11-22T10:00:00Z", "2026-01-01T00:00:00Z"),
            ("59 23 31 * *", "2026-12-01T00:00:00Z", "2026-10-31T23:59:00Z"),
            ("0 0 29 2 *", "2027-11-22T00:00:00Z", "2024-02-29T00:00:00Z"),
            ("15,45 8-10/2 * * *", "2026-11-22T10:44:59Z", "2026-11-22T10:15:00Z"),
            ("15,45 8-10/2 * * *", "2026-11-22T10:14:59Z", "2026-11-22T08:45:00Z"),
            ("15,45 8-10/2 * * *", "2026-11-22T08:14:00Z", "2026-11-21T10:45:00Z"),
            ("0 0 * * mon", "2026-11-22T00:00:00Z", "2026-11-16T00:00:00Z"),
        ])
    func last(cron: String, through: String, expected: String) throws {
        #expect(try self.last(cron, through: through) == expected)
    }

    @Test("before the first tick of the epoch there is none")
    func beforeEpoch() throws {
        #expect(try CronExpression("0 1 * * *").last(through: 3_599_999) == nil)
        #expect(try CronExpression("* * * * *").last(through: 0) == 0)
    }

    @Test("no time overflows")
    func largestTime() throws {
        #expect(try CronExpression("* * * * *").last(through: .max) != nil)
    }

    @Test(
        "backwards and forwards the ticks are the same",
        arguments: [
            "*/7 */5 * * *", "17 5 1-7 * mon", "0 0 31 * *", "59 23 * 2 sun", "0 12 29 2 *",
        ])
    func sameTicks(text: String) throws {
        let cron = try CronExpression(text)
        let end = try Self.time("2028-03-15T06:30:00Z")
        var backwards: [UInt64] = []
        var time = end
        while backwards.count < 60, let tick = cron.last(through: time) {
            backwards.append(tick)
            time = tick - 1
        }
        var forwards: [UInt64] = []
        time = try #require(backwards.last) - 1
        while let tick = cron.next(after: time), tick <= end {
            forwards.append(tick)
            time = tick
        }
        #expect(forwards == backwards.reversed())
    }
}

@Suite("ScheduleDefinition")
struct ScheduleDefinitionTests {
    private func schedule(_ cron: String, _ missed: ScheduleDefinition.MissedTicks) throws -> ScheduleDefinition {
        ScheduleDefinition(
            name: try DefinitionName("s"), summary: "", workspace: try WorkspaceID("acme"),
            action: try ActionName("queue.noop"), params: .object([]), cron: try CronExpression(cron), missed: missed,
            priority: .normal)
    }

    private static let now: UInt64 = 1_800_000_000_000

    @Test("nothing is due before the next tick", arguments: ScheduleDefinition.MissedTicks.allCases)
    func nothingDue(missed: ScheduleDefinition.MissedTicks) throws {
        let schedule = try self.schedule("* * * * *", missed)
        #expect(schedule.ticks(after: 120_000, until: 179_999).isEmpty)
        #expect(schedule.ticks(after: 120_000, until: 120_000).isEmpty)
    }

    @Test("a clock that was set back makes nothing due", arguments: ScheduleDefinition.MissedTicks.allCases)
    func clockBack(missed: ScheduleDefinition.MissedTicks) throws {
        #expect(try self.schedule("* * * * *", missed).ticks(after: Self.now, until: Self.now - 3_600_000).isEmpty)
    }

    @Test("a skipped tick is due for a minute", arguments: [(0, 1), (59_999, 1), (60_000, 0), (3_000_000, 0)])
    func skip(late: UInt64, count: Int) throws {
        let schedule = try self.schedule("0 * * * *", .skip)
        #expect(schedule.ticks(after: 0, until: 3_600_000 + late).count == count)
    }

    @Test("of many missed ticks the latest is the newest, and all are at most the newest hundred")
    func bounds() throws {
        let all = try self.schedule("* * * * *", .all).ticks(after: 0, until: 1_000 * 60_000)
        #expect(all == (901...1000).map { $0 * 60_000 })
        #expect(try self.schedule("* * * * *", .latest).ticks(after: 0, until: 1_000 * 60_000) == [60_000_000])
    }

    @Test("however long nothing was due, no more is computed than is returned")
    func longAbsence() throws {
        // Half a century of minutes, two hundred times: forwards that would take hours.
        let schedule = try self.schedule("* * * * *", .all)
        for _ in 0..<200 {
            let ticks = schedule.ticks(after: 0, until: Self.now)
            #expect(ticks.count == 100 && ticks.last == Self.now)
        }
    }

    @Test("missed ticks are in their order, the oldest first")
    func order() throws {
        let ticks = try self.schedule("*/10 * * * *", .all).ticks(after: Self.now - 3_600_000, until: Self.now)
        #expect(ticks == ticks.sorted() && ticks.count == 6)
    }
}
