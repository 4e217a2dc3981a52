/// A method and path of a provider that may be requested. The list is closed.
package enum ModelEndpoint: Hashable, Sendable {
    /// A model is asked for an answer. For Gemini, the path names the model and whether the answer is streamed.
    case generate(model: String?, isStreamed: Bool?)
    /// The tokens of a request are counted, without charge.
    case countTokens(model: String?)
    /// The models are listed, or one is described.
    case models
    /// A client checks that the address answers. The gateway answers itself, with 200 and no body.
    case probe

    /// Whether the provider charges for it.
    package var isCharged: Bool { if case .generate = self { true } else { false } }

    /// Finds the endpoint of a method and a path, without the query. The path is compared byte by byte: escapes, `..`,
    /// `//` and `;` are in no path of the list. Throws `path_not_allowed` or `method_not_allowed`.
    package static func find(
        _ provider: ModelProvider, method: String, path: String
    ) throws(ModelRefusal) -> ModelEndpoint {
        guard let (allowed, endpoint) = self.lookUp(provider, path: path) else {
            throw ModelRefusal(
                status: 403, code: .pathNotAllowed,
                message: "this path of the provider is not allowed here: use \(self.list(provider))")
        }
        guard method == allowed || (allowed == "GET" && method == "HEAD") else {
            throw ModelRefusal(
                status: 405, code: .methodNotAllowed, message: "this method is not allowed here: use \(allowed)")
        }
        return endpoint
    }

    private static func lookUp(_ provider: ModelProvider, path: String) -> (String, ModelEndpoint)? {
        if path == "/" { return ("GET", .probe) }
        switch (provider, path) {
        case (.anthropic, "/v1/messages"), (.openAIResponses, "/v1/responses"), (.openAIChat, "/v1/chat/completions"):
            return ("POST", .generate(model: nil, isStreamed: nil))
        case (.anthropic, "/v1/messages/count_tokens"), (.openAIResponses, "/v1/responses/input_tokens"):
            return ("POST", .countTokens(model: nil))
        case (.gemini, _): return self.lookUpGemini(path)
        default: return self.isModels(path, under: "/v1/models") ? ("GET", .models) : nil
        }
    }

    private static func lookUpGemini(_ path: String) -> (String, ModelEndpoint)? {
        for prefix in ["/v1beta/models", "/v1/models"] {
            if self.isModels(path, under: prefix) { return ("GET", .models) }
            guard path.hasPrefix(prefix + "/") else { continue }
            let parts = path.dropFirst(prefix.count + 1).split(separator: ":", omittingEmptySubsequences: false)
            guard parts.count == 2, let first = parts.first, let last = parts.last else { return nil }
            let model = String(first)
            guard self.isPlainModel(model) else { return nil }
            switch last {
            case "generateContent": return ("POST", .generate(model: model, isStreamed: false))
            case "streamGenerateContent": return ("POST", .generate(model: model, isStreamed: true))
            case "countTokens": return ("POST", .countTokens(model: model))
            default: return nil
            }
        }
        return nil
    }

    private static func isModels(_ path: String, under prefix: String) -> Bool {
        if path == prefix { return true }
        guard path.hasPrefix(prefix + "/") else { return false }
        return self.isPlainModel(String(path.dropFirst(prefix.count + 1)))
    }

    /// Whether text is a model name that is one segment of a path, and no reference to another directory.
    private static func isPlainModel(_ text: String) -> Bool {
        ModelPattern.isModelName(text) && !text.contains("/") && !text.contains(":") && text != "." && text != ".."
    }

    private static func list(_ provider: ModelProvider) -> String {
        switch provider {
        case .anthropic: "POST /v1/messages, POST /v1/messages/count_tokens or GET /v1/models"
        case .openAIResponses: "POST /v1/responses, POST /v1/responses/input_tokens or GET /v1/models"
        case .openAIChat: "POST /v1/chat/completions or GET /v1/models"
        case .gemini: "generateContent, streamGenerateContent or countTokens of /v1beta/models, or GET /v1beta/models"
        }
    }
}
