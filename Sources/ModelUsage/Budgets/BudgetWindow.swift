internal import Domain

/// The time over which a limit counts.
package enum BudgetWindow: String, CaseIterable, Hashable, Sendable {
    /// One run of a job.
    case run
    /// A day of UTC.
    case day
    /// A month of UTC.
    case month

    /// How long a counter is kept after its last change, in milliseconds: beyond the period, so that it can be looked at.
    package var keepTime: UInt64 {
        switch self {
        case .run: 30 * 86_400_000
        case .day: 40 * 86_400_000
        case .month: 400 * 86_400_000
        }
    }

    /// The name of the period that contains a time: the run, `2026-11-30` or `2026-11`.
    func period(at milliseconds: UInt64, run: String) -> String {
        switch self {
        case .run: return run
        case .day: return String(RFC3339.text(of: milliseconds).prefix(10))
        case .month: return String(RFC3339.text(of: milliseconds).prefix(7))
        }
    }

    /// When the period that contains a time ends, in milliseconds since the epoch; nil for a run.
    package func end(after milliseconds: UInt64) -> UInt64? {
        let dayLength: UInt64 = 86_400_000
        let day = milliseconds / dayLength
        switch self {
        case .run: return nil
        case .day: return (day + 1).multipliedSaturated(by: dayLength)
        case .month:
            let date = CivilDate(daysSinceEpoch: Int(clamping: day))
            let left = CivilDate.days(of: date.month, in: date.year) - date.day + 1
            return day.addingSaturated(UInt64(clamping: left)).multipliedSaturated(by: dayLength)
        }
    }
}
