internal import Domain
internal import ModelUsage

extension ModelAccess {
    /// Reads the fields of an entry for a model provider; nil when the entry is of another kind.
    init?(
        _ reader: inout EgressEntryReader, _ listener: EgressListenerKind?, isDenied: Bool
    ) throws(EgressError) {
        let service = try reader.choice("provider", ModelService.self)
        let models = try reader.elements("models", of: "model names, or their beginnings with a '*'") { value in
            value.string.flatMap { ModelPattern($0) }
        }
        let features = try reader.elements("features", of: "what the provider may do for the caller") { value in
            value.string.flatMap { ProviderFeature(rawValue: $0) }
        }
        guard listener == .model, !isDenied else {
            guard service == nil, models == nil, features == nil else {
                throw reader.fail("'provider', 'models' and 'features' are only for an entry that allows a model")
            }
            return nil
        }
        guard let service else {
            let known = ModelService.allCases.map(\.rawValue).joined(separator: ", ")
            throw reader.fail("'provider' is missing: expected one of \(known)")
        }
        self.init(service: service, rules: ModelRequestRules(models: models, features: Set(features ?? [])))
    }
}
