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
}
