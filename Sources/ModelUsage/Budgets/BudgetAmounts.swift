/// How much of each unit a call uses, or may use at most.
package struct BudgetAmounts: Hashable, Sendable {
    private var amounts: [BudgetUnit: UInt64] = [:]

    /// Starts with nothing of any unit.
    package init() {}

    /// The amounts of a call that has ended.
    package init(usage: TokenUsage, cost: Money, seconds: UInt64 = 0) {
        self[.tokens] = usage.total
        self[.inputTokens] = usage.input
        self[.outputTokens] = usage.output
        self[.cacheReadTokens] = usage.cacheRead
        self[.cacheWriteTokens] = usage.cacheWrite
        self[.money] = cost.nanodollars
        self[.requests] = 1
        self[.seconds] = seconds
    }

    /// The most that a call may use: its input may be new, read from a cache or written to one, which is known only
    /// afterwards. `highestCost` is the cost at the dearest of these.
    package init(reservingInput input: UInt64, maximumOutput: UInt64, highestCost: Money, seconds: UInt64 = 0) {
        self[.tokens] = input.addingSaturated(maximumOutput)
        self[.inputTokens] = input
        self[.outputTokens] = maximumOutput
        self[.cacheReadTokens] = input
        self[.cacheWriteTokens] = input
        self[.money] = highestCost.nanodollars
        self[.requests] = 1
        self[.seconds] = seconds
    }

    /// The amount of a unit.
    package subscript(_ unit: BudgetUnit) -> UInt64 {
        get { self.amounts[unit] ?? 0 }
        set { self.amounts[unit] = newValue == 0 ? nil : newValue }
    }
}
