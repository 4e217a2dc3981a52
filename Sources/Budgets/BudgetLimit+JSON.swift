internal import Domain
internal import ModelUsage

extension BudgetLimit {
    /// The limit without its ID.
    var json: JSONValue {
        [
            "scope": .string(self.scope.rawValue), "name": self.name.map { .string($0) } ?? .null,
            "window": .string(self.window.rawValue), "unit": .string(self.unit.rawValue),
            "amount": .integer(Int64(clamping: self.amount)),
        ]
    }

    /// Reads what `json` wrote; throws `malformedLimit`.
    init(id: String, json bytes: [UInt8]) throws(ModelUsageError) {
        let value: JSONValue?
        do throws(DomainError) { value = try JSONParser.parse(bytes) } catch { value = nil }
        guard let value, let scope = value["scope"]?.string.flatMap({ BudgetScope(rawValue: $0) }),
            let window = value["window"]?.string.flatMap({ BudgetWindow(rawValue: $0) }),
            let unit = value["unit"]?.string.flatMap({ BudgetUnit(rawValue: $0) }),
            let amount = value["amount"]?.integer.flatMap({ UInt64(exactly: $0) }), amount <= BudgetStore.largestAmount
        else {
            throw ModelUsageError(
                code: .malformedLimit,
                message: "the stored budget '\(Printable.text(id))' is malformed; set it again or remove it")
        }
        self.init(id: id, scope: scope, name: value["name"]?.string, window: window, unit: unit, amount: amount)
    }
}
