internal import Domain

extension PriceTable {
    /// Reads a table from JSON. Throws `malformedPrices`, which names the file, the entry and the member. A member that is
    /// not defined is an error, so that a misspelt price is never silently no price.
    package init(json: [UInt8], file: String) throws(ModelUsageError) {
        let value: JSONValue
        do throws(DomainError) { value = try JSONParser.parse(json) } catch {
            throw .malformedPrices(file, error.message, underlying: error)
        }
        let table = try PriceReader(value, file: file, place: "the table")
        try table.allow(["source", "date", "comment", "unknown_model", "models"])
        let policy = try table.text("unknown_model")
        guard let unknownModel = UnknownModel(rawValue: policy) else {
            throw table.fail("'unknown_model' must be 'refuse' or 'dearest'")
        }
        let date = try table.text("date")
        guard RFC3339.milliseconds(of: date + "T00:00:00Z") != nil else {
            throw table.fail("'date' must be a day such as 2026-11-30")
        }
        guard let models = value["models"]?.array else { throw table.fail("'models' must be a list") }
        var entries: [PriceEntry] = []
        for (index, model) in models.enumerated() {
            let entry = try Self.entry(model, file: file, index: index)
            guard !entries.contains(where: { $0.provider == entry.provider && $0.model == entry.model }) else {
                throw .malformedPrices(file, "'\(entry.provider)' lists the model '\(entry.model)' twice")
            }
            entries.append(entry)
        }
        self.init(source: try table.text("source"), date: date, unknownModel: unknownModel, entries: entries)
    }

    private static func entry(_ value: JSONValue, file: String, index: Int) throws(ModelUsageError) -> PriceEntry {
        let name = value["model"]?.string.map { " (\(Printable.text($0)))" } ?? ""
        let reader = try PriceReader(value, file: file, place: "models[\(index)]\(name)")
        try reader.allow(["provider", "model", "long_input", "tiers", "comment"] + PriceReader.priceNames)
        let provider = try reader.text("provider")
        guard ModelProvider.allCases.contains(where: { $0.priceName == provider }) else {
            throw reader.fail("'provider' must be 'anthropic', 'openai' or 'gemini'")
        }
        guard let pattern = ModelPattern(try reader.text("model")) else {
            throw reader.fail("'model' must be a model name, or its beginning and '*'")
        }
        var longInput: PriceEntry.LongInput?
        if let long = value["long_input"] {
            let part = try PriceReader(long, file: file, place: reader.place + ", 'long_input'")
            try part.allow(["above"] + PriceReader.priceNames)
            longInput = PriceEntry.LongInput(
                above: try part.number("above", limit: TokenUsage.limit), prices: try part.prices())
        }
        return PriceEntry(
            provider: provider, model: pattern, prices: try reader.prices(), longInput: longInput,
            tiers: try reader.percents("tiers"))
    }
}

extension CodedError where ErrorCode == ModelUsageErrorCode {
    /// Makes the error of a price table that cannot be used.
    static func malformedPrices(
        _ file: String, _ problem: String, underlying: (any Error)? = nil
    ) -> ModelUsageError {
        ModelUsageError(
            code: .malformedPrices, message: "the price table \(file) is refused: \(problem)", underlying: underlying)
    }

    /// Makes the error of a call whose model has no price.
    static func unknownModel(_ model: String?) -> ModelUsageError {
        let name = model.map { "the model '\(Printable.text($0))'" } ?? "a call whose model is not known"
        return ModelUsageError(
            code: .unknownModel, message: "the price table has no price for \(name): add an entry, or allow the dearest"
        )
    }
}
