import Domain
import ModelUsage
import Testing

@testable import ScriptedModel

@Suite("The answers of a scripted model")
struct ScriptedAnswerTests {
    private static let schema = #"{"type":"object","properties":{"command":{"type":"string"}}}"#

    private static func body(_ provider: ModelProvider, stream: Bool) -> String {
        switch provider {
        case .anthropic:
            #"{"model":"m","stream":\#(stream),"messages":[{"role":"user","content":[{"type":"text","text":"Write."}]}],"tools":[{"name":"Bash","input_schema":\#(schema)}]}"#
        case .openAIResponses:
            #"{"model":"m","stream":\#(stream),"input":[{"role":"user","content":[{"type":"input_text","text":"Write."}]},{"type":"tools","tools":[{"type":"namespace","tools":[{"type":"function","name":"exec_command","parameters":\#(schema)}]}]}]}"#
        case .openAIChat, .gemini:
            #"{"model":"m","stream":\#(stream),"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"Write."}],"tools":[{"type":"function","function":{"name":"shell","parameters":\#(schema)}}]}"#
        }
    }

    private static func paths(_ provider: ModelProvider) -> String {
        switch provider {
        case .anthropic: "/v1/messages"
        case .openAIResponses: "/v1/responses"
        case .openAIChat, .gemini: "/v1/chat/completions"
        }
    }

    private static func reply(
        _ model: ScriptedModel, _ provider: ModelProvider, _ body: String, keys: [String] = ["right"]
    ) -> ScriptedReply {
        model.reply(
            to: ScriptedModel.Head(
                method: "POST", path: Self.paths(provider), keys: keys, isAnthropic: provider == .anthropic),
            body: Array(body.utf8))
    }

    private static let providers: [ModelProvider] = [.anthropic, .openAIResponses, .openAIChat]

    @Test(
        "each interface calls the shell tool that was offered, and counts its usage as the product reads it",
        arguments: providers)
    func tool(_ provider: ModelProvider) throws {
        let model = ScriptedModel(key: "right", pause: .zero, random: { 7 })
        let reply = Self.reply(model, provider, Self.body(provider, stream: true))
        #expect(reply.status == 200 && reply.interruption == nil)
        let text = reply.parts.joined()
        #expect(text.contains("done.txt") && text.contains(#""m""#), "\(text)")
        var reader = UsageReader(provider: provider)
        reader.received(status: 200, headers: reply.headers)
        for part in reply.parts { reader.received(Array(part.utf8)) }
        reader.ended(closedEarly: false)
        let usage = reader.usage
        #expect(usage.input == 1000 && usage.cacheRead == 200 && usage.output == 50 && !usage.isEstimated, "\(usage)")
        let whole = Self.reply(model, provider, Self.body(provider, stream: false))
        #expect(try JSONParser.parse(Array(whole.parts.joined().utf8))["usage"] != nil)
        #expect(model.calls.map(\.step) == [.tool, .tool] && model.calls.allSatisfy(\.hasRightKey))
        #expect(model.calls.first?.userTexts == ["Write."])
    }

    @Test(
        "a request without the key, with another one, or with two is refused",
        arguments: [[], ["wrong"], ["right", "wrong"]])
    func wrongKey(_ keys: [String]) {
        let model = ScriptedModel(key: "right", pause: .zero)
        let reply = Self.reply(model, .anthropic, Self.body(.anthropic, stream: true), keys: keys)
        #expect(reply.status == 401)
        #expect(model.calls.map(\.hasRightKey) == [false])
    }

    @Test("a limit and a spent budget have the statuses and the form of the provider", arguments: providers)
    func refusals(_ provider: ModelProvider) throws {
        let model = ScriptedModel(key: "right", pause: .zero)
        let body = Self.body(provider, stream: true)
        let limit = Self.reply(model, provider, body.replacing("Write.", with: "MARK:throttle"))
        #expect(limit.status == 429 && limit.headers.contains { $0.name == "retry-after" && $0.value == "2" })
        let budget = Self.reply(model, provider, body.replacing("Write.", with: "MARK:budget"))
        #expect(budget.status == 402)
        #expect(try JSONParser.parse(Array(budget.parts.joined().utf8))["error"]?["message"]?.string != nil)
    }

    @Test("a stream is cut after its first text, and pauses after its first event", arguments: providers)
    func interruptions(_ provider: ModelProvider) {
        let model = ScriptedModel(key: "right", pause: .zero)
        let body = Self.body(provider, stream: true)
        guard
            case .cut(let count)? = Self.reply(model, provider, body.replacing("Write.", with: "MARK:cut"))
                .interruption
        else {
            Issue.record("it is not cut")
            return
        }
        #expect(count > 1)
        #expect(
            Self.reply(model, provider, body.replacing("Write.", with: "MARK:slow")).interruption == .pause(after: 1))
    }

    @Test("what is not served, or not a request, is refused")
    func unserved() {
        let model = ScriptedModel(key: "right", pause: .zero)
        let head = ScriptedModel.Head(method: "GET", path: "/v1/models", keys: ["right"], isAnthropic: false)
        #expect(model.reply(to: head, body: []).status == 404)
        #expect(Self.reply(model, .openAIChat, "[]").status == 400)
        #expect(Self.reply(model, .anthropic, "{").status == 400)
    }

    @Test("the code mode of Codex gets a program, and a client that edits files gets an edit")
    func otherForms() throws {
        let code = #"{"model":"m","input":"Write.","tools":[{"type":"custom","name":"exec"}]}"#
        let request = try #require(ScriptedRequest(.openAIResponses, body: Array(code.utf8)))
        guard case .program(let name, let input)? = request.call else {
            Issue.record("no program: \(request)")
            return
        }
        #expect(name == "exec" && input.contains(#"{cmd: "echo \"the work is done\" >> done.txt"}"#))
        let edit = #"{"model":"m","messages":[{"role":"system","content":"Use a *SEARCH/REPLACE* block."}]}"#
        #expect(
            try #require(ScriptedRequest(.openAIChat, body: Array(edit.utf8))).edit?.contains(">>>>>>> REPLACE") == true
        )
    }
}
