internal import Domain
package import ModelUsage

/// What the script reads of a request to a model.
package struct ScriptedRequest: Hashable, Sendable {
    package let provider: ModelProvider
    package let model: String?
    /// The conversation, where the body names one.
    package let session: String?
    /// The texts that a person wrote, oldest first.
    package let userTexts: [String]
    /// The request brings the result of the tool that the model called last.
    package let hasResult: Bool
    /// The call of a tool that runs a command; nil when the request offers none.
    package let call: ToolCall?
    /// The text that makes the file, for a client that reads edits out of answers; nil for others.
    package let edit: String?
    package let isStreamed: Bool
    /// A stream of Chat Completions ends with its usage.
    let includesUsage: Bool

    /// Reads the body of a request; nil when it is not one of this provider, or when there is no script for the provider.
    package init?(_ provider: ModelProvider, body: [UInt8]) {
        guard let value = JSONValue(ifValid: body), value.members != nil else { return nil }
        switch provider {
        case .anthropic: self.init(messages: value)
        case .openAIResponses: self.init(responses: value)
        case .openAIChat: self.init(chat: value)
        case .gemini: return nil
        }
    }

    private init(messages body: JSONValue) {
        let messages = body["messages"]?.array ?? []
        var hasResult = false
        for message in messages {
            let isResult = message["content"]?.array?.contains { $0["type"] == "tool_result" } ?? false
            hasResult = isResult || (hasResult && message["role"] != "assistant")
        }
        let tools = (body["tools"]?.array ?? []).map { tool -> ToolCall.Function in
            (tool["name"]?.string ?? "", tool["input_schema"])
        }
        self.init(
            .anthropic, body, session: body["metadata"]?["user_id"]?.string, userTexts: Self.userTexts(of: messages),
            hasResult: hasResult, call: ToolCall(among: tools))
    }

    private init(responses body: JSONValue) {
        var items = body["input"]?.array ?? []
        if let text = body["input"]?.string { items = [["role": "user", "content": .string(text)]] }
        var hasResult = false
        for item in items {
            let type = item["type"]?.string ?? ""
            let isOfModel = item["role"] == "assistant" || type.hasSuffix("_call") || type.hasSuffix("reasoning")
            hasResult = type.hasSuffix("_call_output") || (hasResult && !isOfModel)
        }
        // Codex sends its tools as an item of the input.
        let offered = ([body] + items).flatMap { $0["tools"]?.array ?? [] }
        self.init(
            .openAIResponses, body, session: body["prompt_cache_key"]?.string, userTexts: Self.userTexts(of: items),
            hasResult: hasResult, call: Self.call(among: offered.flatMap { Self.flattened($0) }))
    }

    private init(chat body: JSONValue) {
        let messages = body["messages"]?.array ?? []
        let functions = (body["tools"]?.array ?? []).map { tool -> ToolCall.Function in
            (tool["function"]?["name"]?.string ?? "", tool["function"]?["parameters"])
        }
        let texts = messages.flatMap { Self.texts(of: $0["content"]) }.joined(separator: "\n")
        self.init(
            .openAIChat, body, session: nil, userTexts: Self.userTexts(of: messages),
            hasResult: messages.last?["role"] == "tool", call: ToolCall(among: functions), edit: Self.edit(texts))
    }

    private init(
        _ provider: ModelProvider, _ body: JSONValue, session: String?, userTexts: [String], hasResult: Bool,
        call: ToolCall?, edit: String? = nil
    ) {
        self.provider = provider
        self.model = body["model"]?.string
        self.session = session
        self.userTexts = userTexts
        self.hasResult = hasResult
        self.call = call
        self.edit = edit
        self.isStreamed = body["stream"]?.bool ?? false
        self.includesUsage = body["stream_options"]?["include_usage"]?.bool ?? false
    }

    private static func userTexts(of messages: [JSONValue]) -> [String] {
        messages.filter { $0["role"] == "user" }.flatMap { self.texts(of: $0["content"]) }
    }

    /// The texts of a message's content, which is a string or a list of parts.
    private static func texts(of content: JSONValue?) -> [String] {
        content?.string.map { [$0] } ?? (content?.array ?? []).compactMap { $0["text"]?.string }
    }

    /// A tool itself, or those of a namespace. The parser bounds the depth.
    private static func flattened(_ tool: JSONValue) -> [JSONValue] {
        tool["tools"]?.array?.flatMap { self.flattened($0) } ?? [tool]
    }

    private static func call(among tools: [JSONValue]) -> ToolCall? {
        for tool in tools {
            if tool["type"] == "custom", tool["name"] == "exec" {
                let command = JSONValue.string(ToolCall.command).text
                return .program(name: "exec", input: "text(await tools.exec_command({cmd: \(command)}));")
            }
            if tool["type"] == "local_shell" { return .shell }
        }
        let functions = tools.filter { $0["type"] == "function" }.map { tool -> ToolCall.Function in
            (tool["name"]?.string ?? "", tool["parameters"])
        }
        return ToolCall(among: functions)
    }

    /// An edit in one of aider's two formats, when the conversation explains one.
    private static func edit(_ texts: String) -> String? {
        let (file, text) = (ToolCall.file, ToolCall.text)
        if texts.contains("SEARCH/REPLACE") {
            return "\(file)\n```\n<<<<<<< SEARCH\n=======\n\(text)\n>>>>>>> REPLACE\n```\n"
        }
        return texts.contains("file listing") ? "\(file)\n```\n\(text)\n```\n" : nil
    }
}
