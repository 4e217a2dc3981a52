/// The prices of the models that a pattern covers.
package struct PriceEntry: Hashable, Sendable {
    /// The name of the provider in the table, such as `openai`.
    package let provider: String
    package let model: ModelPattern
    package let prices: TokenPrices
    /// The prices of a call whose input, cached tokens included, is larger than a number of tokens; nil if there are none.
    package let longInput: LongInput?
    /// Percent of the prices for each service tier that has other prices, such as `priority`.
    package let tiers: [String: UInt64]

    /// Prices from a size of the input on.
    package struct LongInput: Hashable, Sendable {
        package let above: UInt64
        package let prices: TokenPrices

        /// Takes the values as given.
        package init(above: UInt64, prices: TokenPrices) {
            self.above = above
            self.prices = prices
        }
    }

    /// Takes the values as given.
    package init(
        provider: String, model: ModelPattern, prices: TokenPrices, longInput: LongInput? = nil,
        tiers: [String: UInt64] = [:]
    ) {
        self.provider = provider
        self.model = model
        self.prices = prices
        self.longInput = longInput
        self.tiers = tiers
    }

    /// The cost of a call. A tier that the entry does not name costs as much as its dearest, at least the list price.
    func cost(of usage: TokenUsage, tier: String?) -> Money {
        let input = usage.total.subtractingSaturated(usage.output)
        let isLong = self.longInput.map { input > $0.above } ?? false
        let prices = isLong ? self.longInput?.prices ?? self.prices : self.prices
        return prices.cost(of: usage, percent: self.percent(of: tier))
    }

    /// Percent of the prices for a service tier.
    func percent(of tier: String?) -> UInt64 {
        guard let tier, !Self.listedTiers.contains(tier) else { return 100 }
        return self.tiers[tier] ?? max(100, self.tiers.values.max() ?? 100)
    }

    /// Tiers at the list price with every provider; `auto` is charged by the tier of the answer, which is not dearer
    /// unless the operator has bought it.
    private static let listedTiers: Set<String> = ["auto", "default", "standard", "standard_only"]
}
