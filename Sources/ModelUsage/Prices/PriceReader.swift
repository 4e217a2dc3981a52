internal import Domain

/// Reads the members of one object of a price table.
struct PriceReader {
    static let priceNames = ["input", "output", "cache_read", "cache_write", "cache_write_hour"]

    private let value: JSONValue
    private let file: String
    /// The entry, for messages.
    let place: String

    init(_ value: JSONValue, file: String, place: String) throws(ModelUsageError) {
        self.value = value
        self.file = file
        self.place = place
        guard value.members != nil else { throw self.fail("expected an object") }
    }

    func fail(_ problem: String) -> ModelUsageError { .malformedPrices(self.file, "\(self.place): \(problem)") }

    func allow(_ names: [String]) throws(ModelUsageError) {
        for member in self.value.members ?? [] where !names.contains(member.name) {
            throw self.fail("the member '\(Printable.text(member.name))' is not defined")
        }
    }

    func text(_ name: String) throws(ModelUsageError) -> String {
        guard let text = self.value[name]?.string, !text.isEmpty else {
            throw self.fail("'\(name)' must be a text that is not empty")
        }
        return text
    }

    func number(_ name: String, limit: UInt64) throws(ModelUsageError) -> UInt64 {
        guard let integer = self.value[name]?.integer, let number = UInt64(exactly: integer), number <= limit else {
            throw self.fail("'\(name)' must be an integer from 0 to \(limit)")
        }
        return number
    }

    /// Reads the prices. Without prices of the cache, its tokens cost as much as input, and an hour twice as much as
    /// input, which is the highest factor in use.
    func prices() throws(ModelUsageError) -> TokenPrices {
        let input = try self.number("input", limit: TokenPrices.limit)
        let cacheWrite = try self.price("cache_write", default: input)
        return TokenPrices(
            input: input, output: try self.number("output", limit: TokenPrices.limit),
            cacheRead: try self.price("cache_read", default: input), cacheWrite: cacheWrite,
            cacheWriteHour: try self.price("cache_write_hour", default: max(cacheWrite, input * 2)))
    }

    private func price(_ name: String, default fallback: UInt64) throws(ModelUsageError) -> UInt64 {
        self.value[name] == nil ? fallback : try self.number(name, limit: TokenPrices.limit)
    }

    func percents(_ name: String) throws(ModelUsageError) -> [String: UInt64] {
        guard let value = self.value[name] else { return [:] }
        let part = try PriceReader(value, file: self.file, place: self.place + ", '\(name)'")
        var percents: [String: UInt64] = [:]
        for member in value.members ?? [] { percents[member.name] = try part.number(member.name, limit: 10_000) }
        return percents
    }
}
