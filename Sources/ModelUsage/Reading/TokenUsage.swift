/// The tokens of one model call, by kind. The kinds do not overlap: `input` never includes cached tokens, whatever the
/// provider counts as input.
package struct TokenUsage: Hashable, Sendable {
    /// Input tokens that were neither read from a cache nor written to one.
    package var input: UInt64
    /// Output tokens, reasoning included.
    package var output: UInt64
    /// Input tokens that were read from the provider's cache.
    package var cacheRead: UInt64
    /// Input tokens that were written to the provider's cache, of all lifetimes.
    package var cacheWrite: UInt64
    /// The part of `cacheWrite` that is kept for an hour, which has a price of its own.
    package var cacheWriteHour: UInt64
    /// The model that answered; the requested one until the answer names it.
    package var model: String?
    /// Whether any number was estimated, because the provider's own is missing, cut off or not plausible.
    package var isEstimated: Bool

    /// The largest number of one kind in one call. A larger one is a defect of the provider, and is reduced to this.
    package static let limit: UInt64 = 1_000_000_000

    /// Takes the numbers as given; each is zero by default.
    package init(
        input: UInt64 = 0, output: UInt64 = 0, cacheRead: UInt64 = 0, cacheWrite: UInt64 = 0,
        cacheWriteHour: UInt64 = 0, model: String? = nil, isEstimated: Bool = false
    ) {
        self.input = input
        self.output = output
        self.cacheRead = cacheRead
        self.cacheWrite = cacheWrite
        self.cacheWriteHour = cacheWriteHour
        self.model = model
        self.isEstimated = isEstimated
    }

    /// All tokens of the call; the largest number there is when the sum does not fit.
    package var total: UInt64 {
        [self.output, self.cacheRead, self.cacheWrite].reduce(self.input) { $0.addingSaturated($1) }
    }
}
