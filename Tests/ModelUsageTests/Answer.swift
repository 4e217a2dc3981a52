import ModelUsage
import Testing

/// Answers in the recorded shape of each provider, with the usage that they name.
struct Answer: Sendable, CustomTestStringConvertible {
    let name: String
    let provider: ModelProvider
    let body: String
    let expected: TokenUsage
    /// The number of bytes after which text of the model has been seen.
    let textEnd: Int

    init(_ name: String, _ provider: ModelProvider, _ body: String, _ expected: TokenUsage, text: String) {
        self.name = name
        self.provider = provider
        self.body = body
        self.expected = expected
        let bytes = Array(body.utf8)
        let needle = Array((text + "\"").utf8)
        self.textEnd =
            bytes.indices.first { bytes[$0...].starts(with: needle) }.map { $0 + needle.count } ?? bytes.count
    }

    var testDescription: String { self.name }

    /// Reads the answer in the given segments.
    static func read(
        _ provider: ModelProvider, _ segments: [[UInt8]], status: Int = 200,
        headers: [(name: String, value: String)] = [],
        request: SentRequest = SentRequest(), closedEarly: Bool = false
    ) -> TokenUsage {
        var reader = UsageReader(provider: provider, request: request)
        reader.received(status: status, headers: headers)
        for segment in segments { reader.received(segment) }
        reader.ended(closedEarly: closedEarly)
        return reader.usage
    }

    /// Reads a text in one segment.
    static func read(
        _ provider: ModelProvider, _ body: String, status: Int = 200, headers: [(name: String, value: String)] = [],
        request: SentRequest = SentRequest(), closedEarly: Bool = false
    ) -> TokenUsage {
        self.read(
            provider, [Array(body.utf8)], status: status, headers: headers, request: request, closedEarly: closedEarly)
    }
}

extension Answer {
    static let anthropicStream = Answer(
        "anthropic stream", .anthropic,
        """
        event: message_start
        data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-5","content":[],"stop_reason":null,"usage":{"input_tokens":25,"cache_creation_input_tokens":30,"cache_creation":{"ephemeral_5m_input_tokens":10,"ephemeral_1h_input_tokens":20},"cache_read_input_tokens":400,"output_tokens":1,"service_tier":"standard"}}}

        event: content_block_start
        data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

        event: ping
        data: {"type": "ping"}

        : a comment
        event: content_block_delta
        data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Grüße, 世界 \\"usage\\":{\\"output_tokens\\":9999}"}}

        event: content_block_stop
        data: {"type":"content_block_stop","index":0}

        event: message_delta
        data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"input_tokens":0,"output_tokens":57}}

        event: message_stop
        data: {"type":"message_stop"}


        """,
        TokenUsage(
            input: 25, output: 57, cacheRead: 400, cacheWrite: 30, cacheWriteHour: 20, model: "claude-sonnet-4-5"),
        text: #"9999}"#)

    static let anthropicDocument = Answer(
        "anthropic document", .anthropic,
        #"{"id":"msg_1","type":"message","role":"assistant","model":"claude-opus-4-5","content":[{"type":"tool_use","id":"t","name":"x","input":{"usage":{"output_tokens":5,"a":"bcd"}}}],"usage":{"input_tokens":12,"cache_creation_input_tokens":0,"cache_read_input_tokens":7,"output_tokens":34,"server_tool_use":{"web_search_requests":2}}}"#,
        TokenUsage(input: 12, output: 34, cacheRead: 7, model: "claude-opus-4-5"), text: "bcd")

    static let responsesStream = Answer(
        "responses stream", .openAIResponses,
        """
        event: response.created
        data: {"type":"response.created","response":{"id":"r","object":"response","model":"gpt-5","output":[],"usage":null}}

        event: response.output_text.delta
        data: {"type":"response.output_text.delta","item_id":"m","delta":"hello there"}

        event: response.output_text.done
        data: {"type":"response.output_text.done","text":"hello there"}

        event: response.completed
        data: {"type":"response.completed","response":{"id":"r","model":"gpt-5","status":"completed","output":[{"type":"message","content":[{"type":"output_text","text":"hello there"}]}],"usage":{"input_tokens":1000,"input_tokens_details":{"cached_tokens":600},"output_tokens":70,"output_tokens_details":{"reasoning_tokens":64},"total_tokens":1070}}}


        """,
        TokenUsage(input: 400, output: 70, cacheRead: 600, model: "gpt-5"), text: "hello there")

    static let responsesDocument = Answer(
        "responses document", .openAIResponses,
        #"{"id":"r","object":"response","status":"completed","model":"gpt-5-mini","output":[{"type":"message","content":[{"type":"output_text","text":"hello"}]}],"usage":{"input_tokens":36,"input_tokens_details":{"cached_tokens":0},"output_tokens":87,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":123}}"#,
        TokenUsage(input: 36, output: 87, model: "gpt-5-mini"), text: "hello")

    static let chatStream = Answer(
        "chat stream", .openAIChat,
        """
        data: {"id":"c","object":"chat.completion.chunk","model":"gpt-4o","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}

        data: {"id":"c","object":"chat.completion.chunk","model":"gpt-4o","choices":[{"index":0,"delta":{"content":"some words"},"finish_reason":null}],"usage":null}

        data: {"id":"c","object":"chat.completion.chunk","model":"gpt-4o","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}

        data: {"id":"c","object":"chat.completion.chunk","model":"gpt-4o","choices":[],"usage":{"prompt_tokens":50,"completion_tokens":9,"total_tokens":59,"prompt_tokens_details":{"cached_tokens":32}}}

        data: [DONE]


        """,
        TokenUsage(input: 18, output: 9, cacheRead: 32, model: "gpt-4o"), text: "some words")

    static let chatDocument = Answer(
        "chat document", .openAIChat,
        #"{"id":"c","object":"chat.completion","model":"gpt-4o","choices":[{"index":0,"message":{"role":"assistant","content":"words"},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":6,"total_tokens":11}}"#,
        TokenUsage(input: 5, output: 6, model: "gpt-4o"), text: "words")

    static let geminiStream = Answer(
        "gemini events", .gemini,
        """
        data: {"candidates":[{"content":{"parts":[{"text":"one two"}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":100,"candidatesTokenCount":2,"totalTokenCount":102},"modelVersion":"gemini-2.5-pro"}

        data: {"candidates":[{"content":{"parts":[{"text":" three"}],"role":"model"},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":100,"candidatesTokenCount":3,"thoughtsTokenCount":40,"cachedContentTokenCount":60,"toolUsePromptTokenCount":5,"totalTokenCount":148},"modelVersion":"gemini-2.5-pro"}


        """,
        TokenUsage(input: 45, output: 43, cacheRead: 60, model: "gemini-2.5-pro"), text: "one two")

    static let geminiArray = Answer(
        "gemini array", .gemini,
        """
        [{"candidates":[{"content":{"parts":[{"text":"one two"}]}}],"usageMetadata":{"promptTokenCount":8,"totalTokenCount":8},"modelVersion":"gemini-2.5-flash"}
        ,
        {"candidates":[{"content":{"parts":[{"text":" three"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":8,"candidatesTokenCount":4,"totalTokenCount":12}}
        ]
        """,
        TokenUsage(input: 8, output: 4, model: "gemini-2.5-flash"), text: "one two")

    static let geminiDocument = Answer(
        "gemini document", .gemini,
        #"{"candidates":[{"content":{"parts":[{"text":"yes"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":1,"totalTokenCount":4},"modelVersion":"gemini-2.5-flash"}"#,
        TokenUsage(input: 3, output: 1, model: "gemini-2.5-flash"), text: "yes")

    static let all = [
        anthropicStream, anthropicDocument, responsesStream, responsesDocument, chatStream, chatDocument, geminiStream,
        geminiArray, geminiDocument,
    ]
    static let streams = [anthropicStream, responsesStream, chatStream, geminiStream]
}
