/// The prices of models, with their source and date.
package struct PriceTable: Hashable, Sendable {
    /// What holds for a model that no entry covers.
    package enum UnknownModel: String, Hashable, Sendable {
        /// The call is refused.
        case refuse
        /// The call costs as much as with the highest price of each kind among the provider's models.
        case dearest
    }

    /// Where the prices are from.
    package let source: String
    /// The day at which they were valid, such as `2026-11-30`.
    package let date: String
    package let unknownModel: UnknownModel
    package let entries: [PriceEntry]

    /// Takes the values as given. `PriceTable(json:file:)` checks what it reads.
    package init(source: String, date: String, unknownModel: UnknownModel, entries: [PriceEntry]) {
        self.source = source
        self.date = date
        self.unknownModel = unknownModel
        self.entries = entries
    }

    /// A table without prices, where none is given: limits of money refuse each call then.
    package static let none = PriceTable(source: "none", date: "1970-01-01", unknownModel: .refuse, entries: [])

    /// The entry that covers a model most closely; nil if none does.
    package func entry(provider: ModelProvider, model: String) -> PriceEntry? {
        self.entries.filter { $0.provider == provider.priceName && $0.model.covers(model) }
            .max { $0.model.precision < $1.model.precision }
    }

    /// The cost of a call, rounded up. Throws `unknownModel` for a model without a price, or without a name, in a table
    /// that refuses such models or has no entries.
    package func cost(
        of usage: TokenUsage, provider: ModelProvider, tier: String? = nil
    ) throws(ModelUsageError) -> Money {
        if let model = usage.model, let entry = self.entry(provider: provider, model: model) {
            return entry.cost(of: usage, tier: tier)
        }
        guard self.unknownModel == .dearest, let cost = self.dearestCost(of: usage, provider, tier) else {
            throw .unknownModel(usage.model)
        }
        return cost
    }

    /// The most that a call can cost, with all its input at the kind that the prices make dearest. Throws as `cost`.
    package func highestCost(
        input: UInt64, output: UInt64, model: String?, provider: ModelProvider, tier: String?
    ) throws(ModelUsageError) -> Money {
        let usages = [
            TokenUsage(input: input, output: output, model: model),
            TokenUsage(output: output, cacheWrite: input, model: model),
            TokenUsage(output: output, cacheWrite: input, cacheWriteHour: input, model: model),
        ]
        var highest = Money.zero
        for usage in usages { highest = max(highest, try self.cost(of: usage, provider: provider, tier: tier)) }
        return highest
    }

    /// The cost at the highest price of each kind among the provider's models; among all when none of its models is listed.
    private func dearestCost(of usage: TokenUsage, _ provider: ModelProvider, _ tier: String?) -> Money? {
        let own = self.entries.filter { $0.provider == provider.priceName }
        let entries = own.isEmpty ? self.entries : own
        let all = entries.flatMap { [$0.prices] + ($0.longInput.map { [$0.prices] } ?? []) }
        guard let first = all.first else { return nil }
        let percent = entries.map { $0.percent(of: tier) }.max() ?? 100
        return all.reduce(first) { $0.highest($1) }.cost(of: usage, percent: max(100, percent))
    }
}
