import Domain
import ModelUsage
import Testing

@Suite("ModelRequest")
struct ModelRequestTests {
    private func request(
        _ provider: ModelProvider, _ body: String, path: String? = nil, method: String = "POST",
        headers: [(name: String, value: String)] = [], rules: ModelRequestRules = ModelRequestRules()
    ) throws -> ModelRequest {
        let usual =
            switch provider {
            case .anthropic: "/v1/messages"
            case .openAIResponses: "/v1/responses"
            case .openAIChat: "/v1/chat/completions"
            case .gemini: "/v1beta/models/gemini-2.5-pro:generateContent"
            }
        return try ModelRequest(
            provider: provider, method: method, path: path ?? usual, headers: headers, body: Array(body.utf8),
            rules: rules)
    }

    private func refusal(_ make: () throws -> ModelRequest) -> ModelRefusal? {
        do {
            _ = try make()
            return nil
        } catch { return error as? ModelRefusal }
    }

    // MARK: - Paths

    @Test(
        "a path of the list is found",
        arguments: [
            (.anthropic, "POST", "/v1/messages", .generate(model: nil, isStreamed: nil)),
            (.anthropic, "POST", "/v1/messages/count_tokens", .countTokens(model: nil)),
            (.anthropic, "GET", "/v1/models", .models), (.anthropic, "GET", "/v1/models/claude-x", .models),
            (.anthropic, "HEAD", "/", .probe),
            (.openAIResponses, "POST", "/v1/responses", .generate(model: nil, isStreamed: nil)),
            (.openAIResponses, "POST", "/v1/responses/input_tokens", .countTokens(model: nil)),
            (.openAIChat, "POST", "/v1/chat/completions", .generate(model: nil, isStreamed: nil)),
            (.openAIChat, "HEAD", "/v1/models", .models),
            (.gemini, "POST", "/v1beta/models/g-2:generateContent", .generate(model: "g-2", isStreamed: false)),
            (.gemini, "POST", "/v1/models/g-2:streamGenerateContent", .generate(model: "g-2", isStreamed: true)),
            (.gemini, "POST", "/v1beta/models/g-2:countTokens", .countTokens(model: "g-2")),
            (.gemini, "GET", "/v1beta/models/g-2", .models),
        ] as [(ModelProvider, String, String, ModelEndpoint)])
    func paths(provider: ModelProvider, method: String, path: String, endpoint: ModelEndpoint) throws {
        #expect(try ModelEndpoint.find(provider, method: method, path: path) == endpoint)
    }

    @Test(
        "another path is refused, also a spelling of one of the list",
        arguments: [
            (.anthropic, "/v1/files"), (.anthropic, "/v1/messages/"), (.anthropic, "/v1/messages/../files"),
            (.anthropic, "/v1/messages%2f..%2ffiles"), (.anthropic, "//v1/messages"), (.anthropic, "/v1/messages;x"),
            (.anthropic, "/V1/messages"), (.anthropic, "/v1/%6dessages"), (.anthropic, "v1/messages"), (.anthropic, ""),
            (.anthropic, "/v1/messages/batches"), (.anthropic, "/v1/models/.."), (.anthropic, "/v1/models/a/b"),
            (.anthropic, "/v1/models/"), (.anthropic, "/v1/responses"), (.openAIResponses, "/v1/responses/resp_1"),
            (.openAIResponses, "/v1/files"), (.openAIChat, "/v1/batches"), (.openAIChat, "/v1/embeddings"),
            (.openAIChat, "/v1/models/a:b"), (.gemini, "/v1beta/files"), (.gemini, "/v1beta/models/a:embedContent"),
            (.gemini, "/v1beta/models/a/b:generateContent"), (.gemini, "/v1beta/models/:generateContent"),
            (.gemini, "/v1beta/models/a:b:generateContent"), (.gemini, "/v1beta/models/..:generateContent"),
            (.gemini, "/v1beta/cachedContents"), (.gemini, "/v1beta/models/a%3AgenerateContent"),
        ] as [(ModelProvider, String)])
    func otherPaths(provider: ModelProvider, path: String) {
        for method in ["GET", "POST"] {
            let refusal = self.refusal { try self.request(provider, "{}", path: path, method: method) }
            #expect(refusal?.code == .pathNotAllowed && refusal?.status == 403)
        }
    }

    @Test("another method is refused", arguments: ["GET", "PUT", "DELETE", "post", "", "HEAD", "TRACE"])
    func methods(method: String) {
        let refusal = self.refusal { try self.request(.anthropic, "{}", method: method) }
        #expect(refusal?.code == .methodNotAllowed && refusal?.status == 405)
    }

    // MARK: - Values

    @Test("the model, the limit and the stream are read")
    func values() throws {
        let body =
            #"{"model":"claude-x","max_tokens":1000,"stream":true,"messages":[{"role":"user","content":"hello"}]}"#
        let request = try self.request(.anthropic, body)
        #expect(request.model == "claude-x" && request.isStreamed && request.maximumOutput == 1000)
        #expect(request.limitsOutput && request.tier == nil)
        #expect(request.estimatedInput == UInt64((body.utf8.count * 2 + 6) / 7))
        #expect(request.sent == SentRequest(bytes: UInt64(body.utf8.count), model: "claude-x", maximumOutput: 1000))
    }

    @Test(
        "the output limit is that of all answers",
        arguments: [
            (.anthropic, #"{"model":"m"}"#, 64_000), (.openAIResponses, #"{"model":"m","max_output_tokens":7}"#, 7),
            (.openAIChat, #"{"model":"m","max_tokens":7,"n":3}"#, 21),
            (.openAIChat, #"{"model":"m","max_tokens":7,"max_completion_tokens":9}"#, 9),
            (.openAIChat, #"{"model":"m","n":2}"#, 128_000), (.openAIChat, #"{"model":"m","max_tokens":null}"#, 64_000),
            (.gemini, #"{"generationConfig":{"maxOutputTokens":5,"candidateCount":2}}"#, 10),
            (.gemini, #"{"generationConfig":{"maxOutputTokens":5},"generation_config":{"max_output_tokens":50}}"#, 50),
            (.gemini, "{}", 64_000), (.anthropic, #"{"model":"m","max_tokens":8.0}"#, 8),
        ] as [(ModelProvider, String, UInt64)])
    func outputLimit(provider: ModelProvider, body: String, limit: UInt64) throws {
        #expect(try self.request(provider, body).maximumOutput == limit)
    }

    @Test(
        "a value that cannot be used is refused",
        arguments: [
            (.anthropic, "", .malformedRequest), (.anthropic, "[]", .malformedRequest),
            (.anthropic, "{}", .malformedRequest), (.anthropic, #"{"model":7}"#, .malformedRequest),
            (.anthropic, #"{"model":"m","model":"n"}"#, .malformedRequest),
            (.anthropic, #"{"model":"a b"}"#, .malformedRequest), (.anthropic, #"{"model":""}"#, .malformedRequest),
            (.anthropic, #"{"model":"m","max_tokens":-1}"#, .malformedRequest),
            (.anthropic, #"{"model":"m","max_tokens":0}"#, .malformedRequest),
            (.anthropic, #"{"model":"m","max_tokens":1.5}"#, .malformedRequest),
            (.anthropic, #"{"model":"m","max_tokens":"1"}"#, .malformedRequest),
            (.anthropic, #"{"model":"m","max_tokens":1000000000}"#, .outputLimit),
            (.anthropic, #"{"model":"m","max_tokens":9223372036854775807}"#, .outputLimit),
            (.anthropic, #"{"model":"m","max_tokens":99223372036854775807}"#, .malformedRequest),
            (.openAIChat, #"{"model":"m","n":100}"#, .outputLimit),
            (.gemini, #"{"generationConfig":{"candidateCount":9}}"#, .outputLimit),
            (.anthropic, #"{"model":"\#(String(repeating: "m", count: 129))"}"#, .malformedRequest),
        ] as [(ModelProvider, String, ModelRefusal.Code)])
    func badValues(provider: ModelProvider, body: String, code: ModelRefusal.Code) {
        let refusal = self.refusal { try self.request(provider, body) }
        #expect(refusal?.code == code && refusal?.status == 400)
    }

    @Test("a WebSocket, a compressed body and a body above the limit are refused")
    func transport() {
        let body = #"{"model":"m"}"#
        let upgrade = self.refusal { try self.request(.openAIResponses, body, headers: [("Upgrade", "websocket")]) }
        #expect(upgrade?.status == 426)
        let coding = self.refusal { try self.request(.openAIResponses, body, headers: [("Content-Encoding", "zstd")]) }
        #expect(coding?.status == 415)
        let large = self.refusal { try self.request(.openAIResponses, body, rules: ModelRequestRules(bodyLimit: 5)) }
        #expect(large?.status == 413 && large?.code == .requestTooLarge)
    }

    @Test("only the models of the rules may be asked")
    func models() throws {
        let rules = ModelRequestRules(models: ["claude-*", "gpt-5"].compactMap(ModelPattern.init))
        #expect(try self.request(.anthropic, #"{"model":"claude-x"}"#, rules: rules).model == "claude-x")
        for body in [
            #"{"model":"gpt-5-pro"}"#, #"{"model":"gpt-5","models":["other"]}"#, #"{"model":"gpt-5","models":[1]}"#,
        ] {
            #expect(self.refusal { try self.request(.openAIChat, body, rules: rules) }?.code == .modelNotAllowed)
        }
        #expect(self.refusal { try self.request(.gemini, "{}", rules: rules) }?.status == 403)
    }

    @Test("an image counts as one in the estimate, and other content by its size")
    func images() throws {
        let data = String(repeating: "A", count: 700_000)
        let image =
            #"{"model":"m","messages":[{"content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"\#(data)"}}]}]}"#
        #expect(try self.request(.anthropic, image).estimatedInput < 6000)
        let document = image.replacing("image/png", with: "application/pdf")
        #expect(try self.request(.anthropic, document).estimatedInput > 199_000)
    }

    @Test(
        "the tier that changes the price is read",
        arguments: [
            (#"{"model":"m","service_tier":"priority"}"#, "priority"), (#"{"model":"m","speed":"fast"}"#, "fast"),
            (#"{"model":"m","speed":"standard","service_tier":"priority"}"#, "priority"), (#"{"model":"m"}"#, nil),
        ] as [(String, String?)])
    func tier(body: String, tier: String?) throws { #expect(try self.request(.anthropic, body).tier == tier) }
}
