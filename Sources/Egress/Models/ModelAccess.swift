package import ModelUsage

/// What an entry for a model provider allows, in addition to its host.
package struct ModelAccess: Hashable, Sendable {
    package let service: ModelService
    package let rules: ModelRequestRules

    /// Takes the parts as given.
    package init(service: ModelService, rules: ModelRequestRules = ModelRequestRules()) {
        self.service = service
        self.rules = rules
    }
}
