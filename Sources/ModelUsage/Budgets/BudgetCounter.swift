/// What was used of one limit by one subject in one period.
package struct BudgetCounter: Hashable, Sendable {
    /// Names a counter. The text form is unique, because no part contains a line feed.
    package struct Key: Hashable, Sendable {
        /// The limit.
        package let limit: String
        /// The tenant, workspace, agent definition or job.
        package let name: String
        /// The run, day or month.
        package let period: String

        init(limit: String, name: String, period: String) {
            self.limit = limit
            self.name = name
            self.period = period
        }

        package var text: String { "\(self.limit)\n\(self.name)\n\(self.period)" }

        /// Reads what `text` wrote; nil for anything else.
        package init?(text: String) {
            let parts = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
            guard parts.count == 3 else { return nil }
            self.init(limit: parts[0], name: parts[1], period: parts[2])
        }
    }

    /// Used by calls that have ended.
    package internal(set) var spent: UInt64 = 0
    /// Held for calls that have not ended.
    package internal(set) var reserved: UInt64 = 0
    /// The highest threshold that was reported, in percent.
    package internal(set) var reported: UInt64 = 0

    /// All that counts against the limit.
    package var used: UInt64 { self.spent.addingSaturated(self.reserved) }

    /// Whether a call may reserve an amount. A limit that is used up admits no call, whatever it reserves.
    func admits(_ amount: UInt64, limit: UInt64) -> Bool {
        let (sum, overflows) = self.used.addingReportingOverflow(amount)
        return self.used < limit && !overflows && sum <= limit
    }

    /// Marks the highest threshold that was reached and not reported yet, and returns it.
    mutating func nextThreshold(limit: UInt64) -> UInt64? {
        let reached = BudgetThreshold.levels.last { level in
            let need = limit.multipliedFullWidth(by: level)
            let have = self.spent.multipliedFullWidth(by: 100)
            return (have.high, have.low) >= (need.high, need.low)
        }
        guard let reached, reached > self.reported else { return nil }
        self.reported = reached
        return reached
    }
}
