import ModelUsage
import TestSupport
import Testing

/// Answers that no provider should send.
@Suite("UsageReader, hostile answers")
struct HostileAnswerTests {
    private func document(output: String, input: String = "10") -> String {
        #"{"model":"m","content":[{"type":"text","text":"abcdefgh"}],"usage":{"input_tokens":\#(input),"output_tokens":\#(output)}}"#
    }

    @Test(
        "a number that is not plausible is estimated",
        arguments: [
            ("-1", 2), ("-9223372036854775809", 2), ("1e3", 1000), ("1.5", 2), ("0.0001", 2), ("1e400", 1_000_000_000),
            ("-1e400", 2), ("9223372036854775808", 1_000_000_000), ("1000000001", 1_000_000_000),
            (String(repeating: "9", count: 5000), 1_000_000_000), ("null", 2), ("\"12\"", 2), ("true", 2), ("{}", 2),
            ("[7]", 2), ("0", 2), ("-0", 2), ("NaN", 2), ("0x10", 2), ("1e-400", 2),
        ] as [(String, UInt64)])
    func implausible(text: String, output: UInt64) {
        let usage = Answer.read(.anthropic, self.document(output: text), request: SentRequest(bytes: 40))
        #expect(usage.output == output)
        #expect(usage.isEstimated == (text != "1e3"))
        #expect(usage.input == 10)
    }

    @Test("an input that is not plausible is estimated", arguments: ["-1", "null", "\"x\"", "[1]", "{\"a\":1}"])
    func implausibleInput(text: String) {
        let usage = Answer.read(.anthropic, self.document(output: "7", input: text), request: SentRequest(bytes: 40))
        #expect(usage == TokenUsage(input: 10, output: 7, model: "m", isEstimated: true))
    }

    @Test(
        "more cached tokens than input are not below zero",
        arguments: [ModelProvider.openAIChat, .openAIResponses, .gemini])
    func cachedAboveInput(provider: ModelProvider) {
        let body =
            switch provider {
            case .openAIChat:
                #"{"usage":{"prompt_tokens":5,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":9}}}"#
            case .openAIResponses:
                #"{"usage":{"input_tokens":5,"output_tokens":1,"input_tokens_details":{"cached_tokens":9}}}"#
            default: #"{"usageMetadata":{"promptTokenCount":5,"candidatesTokenCount":1,"cachedContentTokenCount":9}}"#
            }
        let usage = Answer.read(provider, body)
        #expect(usage == TokenUsage(input: 0, output: 1, cacheRead: 9, isEstimated: true))
    }

    @Test(
        "what is not JSON is estimated",
        arguments: [
            "", " ", "{", "[", "]", "}", "{]", "[}", "{\"a\"}", "{\"a\":}", "{,}", "[,]", "{\"a\":1,}", "[1,]", "nul",
            "\"",
            "\u{0}", "{\"usage\":{\"input_tokens\":1 \"output_tokens\":2}}", "{\"usage\":{\"input_tokens\":01}}",
            "{\"usage\":{\"input_tokens\":1,\"output_tokens\":2}} x", "{\"a\\u00zz\":1}", "{\"a\n\":1}",
            "data: {\"usage\":{\"output_tokens\":2}\n\n", "data\n\n", "data:\n\n", "data: [DONE\n\n", "event: x\n\n",
            "data: [DONE]\n\n", "data: 5\n\n", "\r\r\r", "::::", "<html></html>",
        ])
    func malformed(body: String) {
        for provider in ModelProvider.allCases {
            let usage = Answer.read(provider, body)
            #expect(usage.isEstimated && usage.input >= 1 && usage.output >= 1, "\(provider)")
        }
    }

    @Test("usage in escaped names is read, and in text is not")
    func escapes() {
        let body = #"{"us\u0061ge":{"input_token\u0073":4,"output_tokens":6},"content":[{"text":"\u0022usage\\\""}]}"#
        #expect(Answer.read(.anthropic, body) == TokenUsage(input: 4, output: 6))
    }

    @Test("text is counted with its escapes decoded")
    func escapedText() {
        let body = #"{"choices":[{"message":{"content":"\n\t\"\\\/\b\u00e9"}}]}"#
        // Six escapes of one byte, and three for the last, rounded up.
        #expect(Answer.read(.openAIChat, body).output == 3)
    }

    @Test("deep nesting ends the reading, not the process", arguments: ["[", "{\"a\":"])
    func depth(part: String) {
        let usage = Answer.read(.gemini, String(repeating: part, count: 100_000))
        #expect(usage.isEstimated)
    }

    @Test("a part that is not JSON after the last usage makes it an estimate")
    func gap() {
        let body = Answer.geminiStream.body + "data: {\"candidates\":[{\"con\n\n"
        #expect(Answer.read(.gemini, body).isEstimated)
        let before = "data: {{\n\n" + Answer.geminiStream.body
        #expect(Answer.read(.gemini, before) == Answer.geminiStream.expected)
    }

    @Test("a malformed final usage does not leave the first one as the exact one")
    func lostFinalUsage() {
        let body = Answer.anthropicStream.body.replacing(
            "\"usage\":{\"input_tokens\":0,", with: "\"usage\":{\"input_tokens\":0,,")
        let usage = Answer.read(.anthropic, body)
        #expect(usage.isEstimated && usage.output > 1)
    }

    @Test("an event of many megabytes is read, whatever its segments")
    func hugeEvent() {
        let text = String(repeating: "lorem ipsum ", count: 200_000)
        let body = Answer.responsesStream.body.replacing("hello there", with: text)
        #expect(Answer.read(.openAIResponses, body) == Answer.responsesStream.expected)
    }

    @Test("an image in an answer counts as one, whatever its size")
    func inlineImage() {
        let data = String(repeating: "A", count: 1_000_000)
        let body = #"{"candidates":[{"content":{"parts":[{"inlineData":{"data":"\#(data)"}}]}}]}"#
        #expect(Answer.read(.gemini, body).output < 5000)
    }

    @Test("random damage never traps, and is never free", arguments: Answer.all)
    func damage(answer: Answer) {
        var random = SeededRandom(seed: 7)
        let bytes = Array(answer.body.utf8)
        for _ in 0..<300 {
            var damaged = bytes
            for _ in 0...Int.random(in: 0...4, using: &random) {
                let position = Int.random(in: 0..<damaged.count, using: &random)
                damaged[position] = UInt8.random(in: 0...255, using: &random)
            }
            let usage = Answer.read(answer.provider, [damaged], closedEarly: Bool.random(using: &random))
            #expect(usage.total > 0)
            // Gemini names no output when the prompt was blocked.
            #expect(usage.output > 0 || answer.provider == .gemini)
        }
    }
}
