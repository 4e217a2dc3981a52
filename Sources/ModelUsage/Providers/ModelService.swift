/// The service of a provider that one base URL reaches. An entry of the egress rules names it.
package enum ModelService: String, CaseIterable, Hashable, Sendable {
    case anthropic
    /// Responses and Chat Completions, also of services that follow their form.
    case openAI = "openai"
    case gemini

    /// The provider kind that a path of the service belongs to.
    package func provider(path: String) -> ModelProvider {
        switch self {
        case .anthropic: .anthropic
        case .openAI: path == "/v1/responses" || path.hasPrefix("/v1/responses/") ? .openAIResponses : .openAIChat
        case .gemini: .gemini
        }
    }

    /// The first segment of the paths by which the sandbox's listener reaches models.
    package static let pathPrefix = "/model/"

    /// What clients of the service take as their base URL, at a listener such as `http://127.0.0.1:3128`.
    package func baseURL(at listener: String) -> String {
        listener + Self.pathPrefix + self.rawValue + (self == .openAI ? "/v1" : "")
    }

    /// What stands in for the real key in a sandbox: of the form that clients of the service expect.
    package func placeholder(_ secret: String) -> String {
        switch self {
        case .anthropic: "sk-ant-api03-\(secret)"
        case .openAI: "sk-proj-\(secret)"
        case .gemini: "AIza\(secret)"
        }
    }

    /// The variables by which the clients of the service find the listener and take the placeholder.
    package func variables(at listener: String, secret: String) -> [String: String] {
        let (url, key) = (self.baseURL(at: listener), self.placeholder(secret))
        switch self {
        case .anthropic:
            return ["ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_BASE": url, "ANTHROPIC_API_KEY": key]
        case .openAI: return ["OPENAI_BASE_URL": url, "OPENAI_API_BASE": url, "OPENAI_API_KEY": key]
        case .gemini: return ["GOOGLE_GEMINI_BASE_URL": url, "GEMINI_API_KEY": key]
        }
    }
}
