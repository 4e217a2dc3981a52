/// Prices in micro-dollars for a million tokens of each kind: 3 dollars are 3,000,000.
package struct TokenPrices: Hashable, Sendable {
    package var input: UInt64
    package var output: UInt64
    package var cacheRead: UInt64
    package var cacheWrite: UInt64
    /// The price of a cache entry that is kept for an hour.
    package var cacheWriteHour: UInt64

    /// The highest price that a table may contain: 100,000 dollars for a million tokens. A typing error of more than that
    /// would stop every call.
    package static let limit: UInt64 = 100_000_000_000

    /// Takes the prices as given.
    package init(input: UInt64, output: UInt64, cacheRead: UInt64, cacheWrite: UInt64, cacheWriteHour: UInt64) {
        self.input = input
        self.output = output
        self.cacheRead = cacheRead
        self.cacheWrite = cacheWrite
        self.cacheWriteHour = cacheWriteHour
    }

    /// The cost of a call. All kinds are summed before the sum is rounded up to a billionth of a dollar. `percent` is 100
    /// for the list price.
    package func cost(of usage: TokenUsage, percent: UInt64 = 100) -> Money {
        let hour = min(usage.cacheWriteHour, usage.cacheWrite)
        let parts: [(tokens: UInt64, price: UInt64)] = [
            (usage.input, self.input), (usage.output, self.output), (usage.cacheRead, self.cacheRead),
            (usage.cacheWrite - hour, self.cacheWrite), (hour, self.cacheWriteHour),
        ]
        // Micro-dollars for a million tokens are 10⁻¹² dollars for one.
        var sum: UInt64 = 0
        for part in parts { sum = sum.addingSaturated(part.tokens.multipliedSaturated(by: part.price)) }
        guard percent != 100 else { return Money(nanodollars: sum.dividedRoundingUp(by: 1000)) }
        return Money(nanodollars: sum.multipliedSaturated(by: percent).dividedRoundingUp(by: 100_000))
    }

    /// The higher price of each kind.
    func highest(_ other: TokenPrices) -> TokenPrices {
        TokenPrices(
            input: max(self.input, other.input), output: max(self.output, other.output),
            cacheRead: max(self.cacheRead, other.cacheRead), cacheWrite: max(self.cacheWrite, other.cacheWrite),
            cacheWriteHour: max(self.cacheWriteHour, other.cacheWriteHour))
    }
}
