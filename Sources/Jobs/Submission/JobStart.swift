/// When a job may first run, by the queue's clock.
package enum JobStart: Hashable, Sendable {
    case now
    case after(Duration)
    /// Milliseconds since the epoch.
    case at(UInt64)

    /// The longest delay. The server-side functions read smaller numbers than 10^11 as a delay, larger ones as a time.
    package static let longestDelay = Duration.seconds(366 * 86_400)

    /// The argument of the function `submit`: 0 for now, a delay in milliseconds, or milliseconds since the epoch.
    var argument: Int64 {
        switch self {
        case .now: 0
        case .after(let delay): min(max(delay, .zero), Self.longestDelay).milliseconds
        // A time before 1973 has passed.
        case .at(let time): time < 100_000_000_000 ? 0 : Int64(clamping: time)
        }
    }

    /// Returns the start in milliseconds since the epoch for a job that is submitted at `now`; nil for at once.
    package func time(at now: UInt64) -> UInt64? {
        let argument = UInt64(clamping: self.argument)
        guard argument > 0 else { return nil }
        return argument < 100_000_000_000 ? now + argument : argument
    }
}
