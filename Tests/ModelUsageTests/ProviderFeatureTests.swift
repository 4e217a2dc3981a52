import ModelUsage
import Testing

/// What makes the provider act for the caller.
@Suite("ProviderFeature")
struct ProviderFeatureTests {
    /// A part of a request, and the feature it asks for; nil for none.
    struct Case: Sendable, CustomTestStringConvertible {
        let provider: ModelProvider
        let part: String
        let feature: ProviderFeature?

        init(_ provider: ModelProvider, _ part: String, _ feature: ProviderFeature?) {
            self.provider = provider
            self.part = part
            self.feature = feature
        }

        var testDescription: String { "\(self.provider.rawValue): \(self.part)" }
    }

    private static func tool(_ provider: ModelProvider, _ type: String, _ feature: ProviderFeature?) -> Case {
        Case(provider, #""tools":[{"type":"\#(type)","name":"x"}]"#, feature)
    }

    private static func content(_ provider: ModelProvider, _ block: String, _ feature: ProviderFeature?) -> Case {
        switch provider {
        case .anthropic, .openAIChat: Case(provider, #""messages":[{"role":"user","content":[\#(block)]}]"#, feature)
        case .openAIResponses: Case(provider, #""input":[{"role":"user","content":[\#(block)]}]"#, feature)
        case .gemini: Case(provider, #""contents":[{"role":"user","parts":[\#(block)]}]"#, feature)
        }
    }

    static let cases: [Case] = [
        tool(.anthropic, "web_search_20250305", .webSearch), tool(.anthropic, "web_fetch_20250910", .webFetch),
        tool(.anthropic, "code_execution_20250825", .codeExecution), tool(.anthropic, "mcp_toolset", .remoteTools),
        tool(.anthropic, "custom", nil), tool(.anthropic, "bash_20250124", nil),
        tool(.anthropic, "text_editor_20250728", nil), tool(.anthropic, "computer_20250124", nil),
        Case(.anthropic, #""tools":[{"name":"x","input_schema":{"type":"object","url":"https://a"}}]"#, nil),
        Case(.anthropic, #""tools":[]"#, nil),
        Case(.anthropic, #""mcp_servers":[{"type":"url","url":"https://a"}]"#, .remoteTools),
        Case(.anthropic, #""mcp_servers":[]"#, nil), Case(.anthropic, #""mcp_servers":null"#, nil),
        Case(.anthropic, #""container":"c_1""#, .codeExecution),
        content(.anthropic, #"{"type":"image","source":{"type":"url","url":"https://a/b.png"}}"#, .urlSource),
        content(.anthropic, #"{"type":"document","source":{"type":"file","file_id":"f"}}"#, .storedFile),
        content(.anthropic, #"{"type":"container_upload","file_id":"f"}"#, .storedFile),
        content(
            .anthropic, #"{"type":"image","source":{"type":"base64","media_type":"image/png","data":"aaaa"}}"#, nil),
        content(.anthropic, #"{"type":"tool_use","id":"t","name":"x","input":{"type":"url","file_id":"f"}}"#, nil),
        content(
            .anthropic, #"{"type":"tool_result","content":[{"type":"image","source":{"type":"url","url":"u"}}]}"#,
            .urlSource),
        content(.anthropic, #"{"type":"text","text":"{\"type\":\"url\"}"}"#, nil),
        Case(.anthropic, #""system":[{"type":"document","source":{"type":"url","url":"u"}}]"#, .urlSource),
        tool(.openAIResponses, "web_search", .webSearch), tool(.openAIResponses, "web_search_preview", .webSearch),
        tool(.openAIResponses, "file_search", .fileSearch), tool(.openAIResponses, "code_interpreter", .codeExecution),
        tool(.openAIResponses, "mcp", .remoteTools), tool(.openAIResponses, "image_generation", .imageGeneration),
        tool(.openAIResponses, "computer_use_preview", .hostedComputer), tool(.openAIResponses, "function", nil),
        tool(.openAIResponses, "custom", nil), tool(.openAIResponses, "local_shell", nil),
        tool(.openAIResponses, "shell", .codeExecution),
        Case(.openAIResponses, #""tools":[{"type":"shell","environment":{"type":"local"}}]"#, nil),
        Case(.openAIResponses, #""tools":[{"type":"namespace","tools":[{"type":"mcp"}]}]"#, .remoteTools),
        Case(.openAIResponses, #""background":true"#, .background), Case(.openAIResponses, #""background":false"#, nil),
        Case(.openAIResponses, #""store":true"#, .background), Case(.openAIResponses, #""store":false"#, nil),
        Case(.openAIResponses, #""previous_response_id":"r""#, .storedState),
        Case(.openAIResponses, #""conversation":{"id":"c"}"#, .storedState),
        Case(.openAIResponses, #""prompt":{"id":"p"}"#, .storedState),
        Case(.openAIResponses, #""input":"https://a""#, nil),
        Case(.openAIResponses, #""input":[{"type":"item_reference","id":"i"}]"#, .storedState),
        content(.openAIResponses, #"{"type":"input_image","image_url":"https://a"}"#, .urlSource),
        content(.openAIResponses, #"{"type":"input_image","image_url":"data:image/png;base64,AA"}"#, nil),
        content(.openAIResponses, #"{"type":"input_file","file_url":"http://a"}"#, .urlSource),
        content(.openAIResponses, #"{"type":"input_file","file_id":"f"}"#, .storedFile),
        tool(.openAIChat, "function", nil), tool(.openAIChat, "web_search", .webSearch),
        Case(.openAIChat, #""web_search_options":{}"#, .webSearch), Case(.openAIChat, #""store":true"#, .background),
        Case(.openAIChat, #""plugins":[{"id":"web"}]"#, .webSearch),
        content(.openAIChat, #"{"type":"image_url","image_url":{"url":"https://a"}}"#, .urlSource),
        content(.openAIChat, #"{"type":"image_url","image_url":{"url":"DATA:image/png;base64,AA"}}"#, nil),
        content(.openAIChat, #"{"type":"image_url","image_url":"file:///a"}"#, .urlSource),
        content(.openAIChat, #"{"type":"file","file":{"file_id":"f"}}"#, .storedFile),
        content(.openAIChat, #"{"type":"text","text":"x","annotations":[{"url_citation":{"url":"https://a"}}]}"#, nil),
        Case(.gemini, #""tools":[{"functionDeclarations":[{"name":"google_search"}]}]"#, nil),
        Case(.gemini, #""tools":[{"google_search":{}}]"#, .webSearch),
        Case(.gemini, #""tools":[{"googleSearch":{}}]"#, .webSearch),
        Case(.gemini, #""tools":{"googleSearchRetrieval":{}}"#, .webSearch),
        Case(.gemini, #""tools":[{"functionDeclarations":[],"urlContext":{}}]"#, .webFetch),
        Case(.gemini, #""tools":[{"url_context":{}}]"#, .webFetch),
        Case(.gemini, #""tools":[{"codeExecution":{}}]"#, .codeExecution),
        Case(.gemini, #""tools":[{"googleMaps":{}}]"#, .webSearch),
        Case(.gemini, #""tools":[{"fileSearch":{}}]"#, .fileSearch),
        Case(.gemini, #""tools":[{"computerUse":{}}]"#, .hostedComputer),
        Case(.gemini, #""cachedContent":"c""#, .storedState), Case(.gemini, #""cached_content":"c""#, .storedState),
        content(.gemini, #"{"fileData":{"fileUri":"https://a/b"}}"#, .urlSource),
        content(.gemini, #"{"file_data":{"file_uri":"gs://a/b"}}"#, .urlSource),
        content(
            .gemini, #"{"fileData":{"fileUri":"https://generativelanguage.googleapis.com/v1beta/files/x"}}"#,
            .storedFile),
        content(.gemini, #"{"inlineData":{"mimeType":"image/png","data":"AAAA"}}"#, nil),
        content(.gemini, #"{"functionCall":{"name":"f","args":{"fileUri":"https://a"}}}"#, nil),
        Case(.gemini, #""systemInstruction":{"parts":[{"fileData":{"fileUri":"https://a"}}]}"#, .urlSource),
    ]

    private func request(_ test: Case, rules: ModelRequestRules) throws -> ModelRequest {
        let path =
            switch test.provider {
            case .anthropic: "/v1/messages"
            case .openAIResponses: "/v1/responses"
            case .openAIChat: "/v1/chat/completions"
            case .gemini: "/v1beta/models/g:generateContent"
            }
        let body = #"{"model":"m",\#(test.part)}"#
        return try ModelRequest(
            provider: test.provider, method: "POST", path: path, headers: [], body: Array(body.utf8), rules: rules)
    }

    @Test("what the provider would do is refused unless the rules allow it", arguments: cases)
    func refusedOrAllowed(test: Case) throws {
        guard let feature = test.feature else {
            #expect(throws: Never.self) { try self.request(test, rules: ModelRequestRules()) }
            return
        }
        let refusal = #expect(throws: ModelRefusal.self) { try self.request(test, rules: ModelRequestRules()) }
        #expect(refusal?.code == .providerSideFetch && refusal?.status == 403)
        #expect(refusal?.message.contains(feature.rawValue) == true)
        let others = Set(ProviderFeature.allCases).subtracting([feature])
        #expect(throws: ModelRefusal.self) { try self.request(test, rules: ModelRequestRules(features: others)) }
        // A file of the account may be asked for with a source of its own kind.
        #expect(throws: Never.self) { try self.request(test, rules: ModelRequestRules(features: [feature])) }
    }

    @Test(
        "a tool that is not known is refused, whatever the rules allow",
        arguments: [
            Case(.anthropic, #""tools":[{"type":"teleport_20290101"}]"#, nil),
            Case(.anthropic, #""tools":[{"type":7}]"#, nil), Case(.openAIResponses, #""tools":[{"type":"new"}]"#, nil),
            Case(.openAIResponses, #""tools":[{"name":"x"}]"#, nil), Case(.openAIResponses, #""tools":[1]"#, nil),
            Case(.openAIResponses, #""tools":[{"type":"namespace","tools":[{"type":"new"}]}]"#, nil),
            Case(.openAIChat, #""tools":[{"type":"new"}]"#, nil), Case(.gemini, #""tools":[{"newTool":{}}]"#, nil),
        ])
    func unknownTool(test: Case) {
        let rules = ModelRequestRules(features: Set(ProviderFeature.allCases))
        let refusal = #expect(throws: ModelRefusal.self) { try self.request(test, rules: rules) }
        #expect(refusal?.code == .unknownTool)
    }
}
