internal import Domain
internal import Synchronization

/// The time in the form of HTTP (RFC 9110 §5.6.7), formatted once a second.
final class DateHeader: Sendable {
    private let last = Mutex<(second: UInt64, text: String)>((0, ""))
    private let now: @Sendable () -> UInt64

    init(now: @escaping @Sendable () -> UInt64) { self.now = now }

    /// The time now.
    var text: String {
        let second = self.now() / 1000
        return self.last.withLock { last in
            if last.second != second { last = (second, Self.format(second)) }
            return last.text
        }
    }

    private static let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
    private static let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]

    private static func format(_ second: UInt64) -> String {
        let (days, time) = Int(clamping: second).quotientAndRemainder(dividingBy: 86_400)
        let date = CivilDate(daysSinceEpoch: days)
        func two(_ number: Int) -> String { RFC3339.padded(number, 2) }
        return
            "\(self.days[date.weekday]), \(two(date.day)) \(self.months[date.month - 1]) \(date.year) \(two(time / 3600)):\(two(time / 60 % 60)):\(two(time % 60)) GMT"
    }
}
