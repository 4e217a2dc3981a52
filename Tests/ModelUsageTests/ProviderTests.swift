import Domain
import ModelUsage
import Testing

@Suite("Providers")
struct ProviderTests {
    @Test(
        "an error has the provider's form",
        arguments: [
            (.anthropic, 402, "billing_error"), (.anthropic, 403, "permission_error"),
            (.anthropic, 429, "rate_limit_error"), (.anthropic, 400, "invalid_request_error"),
            (.anthropic, 413, "request_too_large"), (.anthropic, 529, "overloaded_error"),
            (.anthropic, 503, "api_error"),
            (.openAIResponses, 402, "insufficient_quota"), (.openAIChat, 403, "permission_error"),
            (.openAIChat, 429, "rate_limit_error"), (.openAIChat, 400, "invalid_request_error"),
            (.openAIChat, 502, "server_error"), (.gemini, 402, "RESOURCE_EXHAUSTED"),
            (.gemini, 403, "PERMISSION_DENIED"),
            (.gemini, 429, "RESOURCE_EXHAUSTED"), (.gemini, 400, "INVALID_ARGUMENT"), (.gemini, 500, "INTERNAL"),
        ] as [(ModelProvider, Int, String)])
    func errors(provider: ModelProvider, status: Int, type: String) throws {
        let body = ProviderErrorBody.json(provider, status: status, code: "budget", message: "spent \"all\"\n")
        let document = try JSONParser.parse(body)
        let error = try #require(document["error"])
        #expect(error["message"]?.string == "spent \"all\"\n")
        switch provider {
        case .anthropic: #expect(document["type"]?.string == "error" && error["type"]?.string == type)
        case .openAIResponses, .openAIChat:
            #expect(error["type"]?.string == type && error["code"]?.string == "budget")
        case .gemini: #expect(error["status"]?.string == type && error["code"]?.integer == Int64(status))
        }
    }

    @Test("every refusal has a body that can be read", arguments: ModelRefusal.Code.allCases)
    func refusals(code: ModelRefusal.Code) throws {
        for provider in ModelProvider.allCases {
            let body = ModelRefusal(status: 403, code: code, message: "m").body(for: provider)
            #expect(String(decoding: body, as: UTF8.self).contains(code.rawValue))
        }
    }

    @Test(
        "the caller's credentials do not pass",
        arguments: [
            "Authorization", "x-api-key", "X-Goog-Api-Key", "api-key", "Cookie", "OpenAI-Organization",
            "Proxy-Authorization",
        ])
    func headers(name: String) { #expect(!ProviderCredentials.passes(header: name)) }

    @Test(
        "other headers pass",
        arguments: ["anthropic-version", "anthropic-beta", "content-type", "session-id", "originator"])
    func otherHeaders(name: String) { #expect(ProviderCredentials.passes(header: name)) }

    @Test(
        "credentials are taken out of the query",
        arguments: [
            ("", ""), ("beta=true", "beta=true"), ("key=s", ""), ("alt=sse&key=s", "alt=sse"),
            ("KEY=s&alt=sse", "alt=sse"),
            ("k%65y=s&alt=sse", "alt=sse"), ("access_token=s", ""), ("&&a=b&", "a=b"), ("key", ""), ("a=key", "a=key"),
        ])
    func query(query: String, passing: String) { #expect(ProviderCredentials.passingQuery(query) == passing) }

    @Test("our credential is added as the provider takes it")
    func added() {
        #expect(ProviderCredentials(.anthropic).added("s") == ("x-api-key", "s"))
        #expect(ProviderCredentials(.anthropic, isOAuth: true).added("s") == ("authorization", "Bearer s"))
        #expect(ProviderCredentials(.openAIChat).added("s") == ("authorization", "Bearer s"))
        #expect(ProviderCredentials(.gemini).added("s") == ("x-goog-api-key", "s"))
        for provider in ModelProvider.allCases {
            #expect(!ProviderCredentials.passes(header: ProviderCredentials(provider).header))
        }
    }
}
