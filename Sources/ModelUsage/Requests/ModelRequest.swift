/// A request that may be sent to a provider, and what it may cost.
package struct ModelRequest: Hashable, Sendable {
    package let provider: ModelProvider
    package let endpoint: ModelEndpoint
    /// Nil for endpoints that need no model.
    package let model: String?
    package let isStreamed: Bool
    /// The most output tokens of all answers together; zero for endpoints that are not charged.
    package let maximumOutput: UInt64
    /// Whether the request itself sets that limit.
    package let limitsOutput: Bool
    /// The input tokens to reserve; zero for endpoints that are not charged.
    package let estimatedInput: UInt64
    /// The size of the body in bytes.
    package let bodyBytes: UInt64
    /// The service tier or speed that changes the price; nil for the list price.
    package let tier: String?

    /// What a usage reader needs to know of the request.
    package var sent: SentRequest {
        SentRequest(
            bytes: self.bodyBytes, model: self.model, maximumOutput: self.limitsOutput ? self.maximumOutput : nil)
    }
}
