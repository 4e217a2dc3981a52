import Domain
import Foundation
import Testing

@Suite("Schedules")
struct CronTests {
    private static func time(_ text: String) throws -> UInt64 {
        UInt64(try Date(text, strategy: .iso8601).timeIntervalSince1970 * 1000)
    }

    @Test(
        "the next tick is the one that crontab(5) means",
        arguments: [
            ("* * * * *", "2026-11-22T10:00:00Z", "2026-11-22T10:01:00Z"),
            ("*/15 * * * *", "2026-11-22T10:46:00Z", "2026-11-22T11:00:00Z"),
            ("30 3 * * 1", "2026-11-22T10:00:00Z", "2026-11-23T03:30:00Z"),
            ("0 0 29 2 *", "2026-11-22T10:00:00Z", "2028-02-29T00:00:00Z"),
            ("0 0 13 * fri", "2026-11-14T00:00:00Z", "2026-11-20T00:00:00Z"),
            ("0 0 13 * fri", "2026-12-11T00:00:00Z", "2026-12-13T00:00:00Z"),
            ("0 12 31 * *", "2026-11-01T00:00:00Z", "2026-12-31T12:00:00Z"),
            ("5,50 8-10/2 * jan-mar *", "2026-12-31T23:59:00Z", "2027-01-01T08:05:00Z"),
            ("0 0 * * 7", "2026-11-22T00:00:00Z", "2026-11-29T00:00:00Z"),
            ("@monthly", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
            ("59 23 31 12 *", "2099-12-31T23:59:00Z", "2100-12-31T23:59:00Z"),
        ])
    func next(_ cron: String, after: String, expected: String) throws {
        #expect(try CronExpression(cron).next(after: Self.time(after)) == Self.time(expected))
    }

    @Test("the ticks of two years are those of the calendar")
    func calendar() throws {
        let expression = try CronExpression("17 5 1-7 * mon")  // either the first week or a Monday
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = try #require(TimeZone(identifier: "UTC"))
        var time = try Self.time("2027-06-01T00:00:00Z")
        let end = try Self.time("2029-06-01T00:00:00Z")
        var expected: [UInt64] = []
        var day = time
        while day < end {
            let parts = calendar.dateComponents(
                [.day, .weekday], from: Date(timeIntervalSince1970: Double(day) / 1000))
            if (1...7).contains(parts.day ?? 0) || parts.weekday == 2 { expected.append(day + (5 * 60 + 17) * 60_000) }
            day += 86_400_000
        }
        var found: [UInt64] = []
        while let next = expression.next(after: time), next < end {
            found.append(next)
            time = next
        }
        #expect(found == expected && found.count > 150)
    }

    @Test(
        "what is no schedule is refused",
        arguments: [
            "", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8",
            "5-1 * * * *",
            "*/0 * * * *", "a * * * *", "1,,2 * * * *", "1- * * * *", "0 0 31 2 *", "@never", "-1 * * * *",
            "99999999999999999999 * * * *",
        ])
    func refused(_ text: String) { #expect(throws: DomainError.self) { try CronExpression(text) } }

    @Test(
        "missed ticks are passed over, made up for once, or all made up for",
        arguments: zip(
            ScheduleDefinition.MissedTicks.allCases, [[UInt64](), [180_000], [60_000, 120_000, 180_000]]))
    func missed(_ policy: ScheduleDefinition.MissedTicks, expected: [UInt64]) throws {
        let schedule = ScheduleDefinition(
            name: try DefinitionName("s"), summary: "", workspace: try WorkspaceID("acme"),
            action: try ActionName("queue.noop"), params: .object([]), cron: try CronExpression("1-3 * * * *"),
            missed: policy, priority: .normal)
        #expect(schedule.ticks(after: 0, until: 600_000) == expected)
        // A tick of the last minute is not missed.
        #expect(schedule.ticks(after: 120_000, until: 180_500) == [180_000])
        #expect(schedule.ticks(after: 180_000, until: 180_500).isEmpty)
    }
}
