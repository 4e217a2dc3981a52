/// What a budget limit counts.
package enum BudgetUnit: String, CaseIterable, Hashable, Sendable {
    /// Tokens of all kinds.
    case tokens
    case inputTokens = "input_tokens"
    case outputTokens = "output_tokens"
    case cacheReadTokens = "cache_read_tokens"
    case cacheWriteTokens = "cache_write_tokens"
    /// Billionths of a dollar.
    case money
    /// Calls of a model.
    case requests
    /// Seconds of wall time.
    case seconds

    /// An amount for people, such as `12 requests`; money in dollars, rounded up to a thousandth of a cent.
    package func text(of amount: UInt64) -> String {
        guard self == .money else { return "\(amount) \(self.rawValue)" }
        let parts = amount.dividedRoundingUp(by: 10_000)
        let fraction = String(parts % 100_000)
        return "$\(parts / 100_000).\(String(repeating: "0", count: 5 - fraction.count))\(fraction)"
    }
}
