/// What a caller may ask of a provider.
package struct ModelRequestRules: Hashable, Sendable {
    /// The models that may be asked; nil allows each one.
    package var models: [ModelPattern]?
    /// What the provider may do for the caller.
    package var features: Set<ProviderFeature>
    /// The largest body. Anthropic's own limit is 32 MiB.
    package var bodyLimit: Int
    /// The most JSON values in a body: more than any client sends, and few enough to hold in memory.
    package static let valueLimit = 500_000
    /// The most output tokens that a call may ask for.
    package var outputLimit: UInt64
    /// The output tokens that are reserved for a call that sets no limit.
    package var defaultOutput: UInt64
    /// The most answers to one request (`n`, `candidateCount`).
    package var answerLimit: UInt64

    /// Takes the values as given. By default the provider may do nothing for the caller.
    package init(
        models: [ModelPattern]? = nil, features: Set<ProviderFeature> = [], bodyLimit: Int = 33_554_432,
        outputLimit: UInt64 = 200_000, defaultOutput: UInt64 = 64_000, answerLimit: UInt64 = 8
    ) {
        self.models = models
        self.features = features
        self.bodyLimit = bodyLimit
        self.outputLimit = outputLimit
        self.defaultOutput = defaultOutput
        self.answerLimit = answerLimit
    }
}
