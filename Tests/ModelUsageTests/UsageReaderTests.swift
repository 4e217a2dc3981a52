import ModelUsage
import Testing

@Suite("UsageReader")
struct UsageReaderTests {
    @Test("a complete answer gives the provider's numbers", arguments: Answer.all)
    func complete(answer: Answer) { #expect(Answer.read(answer.provider, answer.body) == answer.expected) }

    @Test("an answer may be split at any byte", arguments: Answer.all)
    func everySplit(answer: Answer) {
        let bytes = Array(answer.body.utf8)
        for position in bytes.indices {
            let usage = Answer.read(answer.provider, [Array(bytes[..<position]), Array(bytes[position...])])
            #expect(usage == answer.expected, "split at \(position)")
        }
        #expect(Answer.read(answer.provider, bytes.map { [$0] }) == answer.expected)
    }

    @Test("an answer that is cut at any byte is estimated and not free", arguments: Answer.all)
    func everyCut(answer: Answer) {
        let bytes = Array(answer.body.utf8)
        // The last line feeds of a stream, and everything behind its end mark, may be missing.
        for position in bytes.indices {
            let usage = Answer.read(answer.provider, [Array(bytes[..<position])], closedEarly: true)
            #expect(usage.input > 0 || usage.cacheRead > 0)
            #expect(usage.output > 0, "cut at \(position)")
            if !usage.isEstimated { #expect(usage == answer.expected && position >= bytes.count - 2) }
            if position >= answer.textEnd { #expect(usage.output >= 1) }
        }
    }

    @Test("the numbers before the end of an answer are those of a cut", arguments: Answer.all)
    func atAnyTime(answer: Answer) {
        var reader = UsageReader(provider: answer.provider)
        reader.received(status: 200, headers: [])
        for byte in answer.body.utf8 {
            reader.received([byte])
            var cut = reader
            cut.ended(closedEarly: true)
            #expect(reader.usage == cut.usage)
        }
    }

    @Test("lines end with LF, CRLF or CR", arguments: Answer.streams, ["\n", "\r\n", "\r"])
    func lineEnds(answer: Answer, end: String) {
        let body = answer.body.split(separator: "\n", omittingEmptySubsequences: false).joined(separator: end)
        #expect(Answer.read(answer.provider, body) == answer.expected)
        #expect(Answer.read(answer.provider, Array(body.utf8).map { [$0] }) == answer.expected)
    }

    @Test("a stream may begin with a byte order mark, blanks and comments", arguments: Answer.streams)
    func beginning(answer: Answer) {
        for start in ["\u{feff}", "\n\n", ": hello\n\n", "retry: 10\nid: 4\n\n", "unknown\n\n"] {
            #expect(
                Answer.read(answer.provider, start + answer.body) == answer.expected, "after \(start.debugDescription)")
        }
    }

    @Test("the last event of a stream may lack its blank line", arguments: Answer.streams)
    func missingBlankLine(answer: Answer) {
        #expect(Answer.read(answer.provider, String(answer.body.dropLast(2))) == answer.expected)
    }

    @Test("data may be spread over lines", arguments: Answer.streams)
    func manyDataLines(answer: Answer) {
        let body = answer.body.split(separator: "\n", omittingEmptySubsequences: false).map {
            $0.hasPrefix("data: {") ? "data:{\ndata:  " + $0.dropFirst(7) : String($0)
        }
        #expect(Answer.read(answer.provider, body.joined(separator: "\n")) == answer.expected)
    }

    @Test(
        "an answer with an error status and without usage costs nothing", arguments: ModelProvider.allCases,
        [400, 402, 429, 500, 529])
    func errors(provider: ModelProvider, status: Int) {
        for body in [#"{"error":{"type":"x","message":"long message"}}"#, "", "<html>", "{"] {
            for isCut in [true, false] {
                let usage = Answer.read(provider, body, status: status, closedEarly: isCut)
                #expect(usage == TokenUsage())
            }
        }
    }

    @Test("an error inside a stream of status 200 is estimated", arguments: ModelProvider.allCases)
    func errorInside(provider: ModelProvider) {
        let body = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}\n\n"
        let usage = Answer.read(provider, body, request: SentRequest(bytes: 401, model: "m"))
        #expect(usage == TokenUsage(input: 101, output: 1, model: "m", isEstimated: true))
    }

    @Test(
        "a compressed answer is estimated",
        arguments: ["gzip", "deflate", "br", "zstd", "GZIP", "identity, gzip", "unheard-of"])
    func compressed(coding: String) {
        let usage = Answer.read(
            .anthropic, [[UInt8](repeating: 0x1f, count: 300)], headers: [("Content-Encoding", coding)],
            request: SentRequest(bytes: 4000))
        #expect(usage == TokenUsage(input: 1000, output: 300, isEstimated: true))
    }

    @Test("identity is no compression", arguments: ["identity", "", " Identity "])
    func identity(coding: String) {
        let answer = Answer.chatDocument
        let usage = Answer.read(answer.provider, answer.body, headers: [("content-encoding", coding)])
        #expect(usage == answer.expected)
    }

    @Test("a chat stream without usage is estimated by its text")
    func chatWithoutUsage() {
        let body =
            Answer.chatStream.body.split(separator: "\n\n").filter { !$0.contains("prompt_tokens") }
            .joined(separator: "\n\n") + "\n\n"
        let usage = Answer.read(.openAIChat, body, request: SentRequest(bytes: 10))
        #expect(usage == TokenUsage(input: 3, output: 3, model: "gpt-4o", isEstimated: true))
    }

    @Test("text after the last number adds to it, and the request's limit bounds the estimate")
    func laterText() {
        let text = String(repeating: "x", count: 4000)
        let body =
            "data: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":3,\"output_tokens\":5}}}\n\n"
            + "data: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"thinking_delta\",\"thinking\":\"\(text)\"}}\n\n"
        let usage = Answer.read(.anthropic, body, closedEarly: true)
        #expect(usage.input == 3 && usage.isEstimated)
        #expect((1005...1010).contains(usage.output))
        let limited = Answer.read(.anthropic, body, request: SentRequest(maximumOutput: 100), closedEarly: true)
        #expect(limited.output == 100)
    }

    @Test("a cut after the final number keeps it, even if the text would be estimated higher")
    func cutAfterFinalUsage() {
        let body = Answer.anthropicStream.body.replacing("世界", with: String(repeating: "x", count: 4000))
            .replacing("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n", with: "")
        var expected = Answer.anthropicStream.expected
        #expect(Answer.read(.anthropic, body) == expected)
        expected.isEstimated = true
        #expect(Answer.read(.anthropic, body, closedEarly: true) == expected)
    }

    @Test(
        "the end events of Responses carry usage",
        arguments: ["response.completed", "response.incomplete", "response.failed"])
    func responsesEnds(type: String) {
        let body = Answer.responsesStream.body.replacing("response.completed", with: type)
        #expect(Answer.read(.openAIResponses, body) == Answer.responsesStream.expected)
        #expect(Answer.read(.openAIResponses, body, closedEarly: true) == Answer.responsesStream.expected)
    }

    @Test("a chat stream ends with its mark, even if the caller goes away right after it")
    func doneMark() {
        #expect(Answer.read(.openAIChat, Answer.chatStream.body, closedEarly: true) == Answer.chatStream.expected)
        let cut = Answer.chatStream.body.replacing("data: [DONE]\n\n", with: "")
        #expect(Answer.read(.openAIChat, cut) == Answer.chatStream.expected)
        #expect(Answer.read(.openAIChat, cut, closedEarly: true).isEstimated)
    }

    @Test("informational heads are ignored, and no head at all is a cut")
    func heads() {
        var reader = UsageReader(provider: .gemini)
        reader.received(status: 103, headers: [("content-encoding", "gzip")])
        reader.received(status: 200, headers: [])
        reader.received(Array(Answer.geminiDocument.body.utf8))
        #expect(reader.usage == Answer.geminiDocument.expected)
        var empty = UsageReader(provider: .gemini)
        empty.ended(closedEarly: true)
        #expect(empty.usage == TokenUsage(input: 1, output: 1, isEstimated: true))
    }
}
