/// The kind of a model provider's API: it decides the paths, the form of usage, credentials and errors.
package enum ModelProvider: String, CaseIterable, Hashable, Sendable {
    /// Anthropic Messages.
    case anthropic
    /// OpenAI Responses.
    case openAIResponses = "openai-responses"
    /// OpenAI Chat Completions, and services that follow its form.
    case openAIChat = "openai-chat"
    /// Gemini `generateContent` and its streamed form.
    case gemini

    /// The name under which the price table lists the provider's models; both APIs of OpenAI share one.
    package var priceName: String {
        switch self {
        case .anthropic: "anthropic"
        case .openAIResponses, .openAIChat: "openai"
        case .gemini: "gemini"
        }
    }
}
