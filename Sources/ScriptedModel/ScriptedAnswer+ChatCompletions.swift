internal import Domain

/// OpenAI Chat Completions. Each answer counts 1,200 tokens of input, 200 of them from the cache, and 50 of output.
extension ScriptedAnswer {
    private static let usage: JSONValue = [
        "prompt_tokens": 1200, "prompt_tokens_details": ["cached_tokens": 200], "completion_tokens": 50,
        "total_tokens": 1250,
    ]

    private var toolCalls: [JSONValue] {
        guard case .function(let name, let arguments)? = self.call else { return [] }
        return [
            [
                "id": .string("call_\(self.id().prefix(24))"), "type": "function",
                "function": ["name": .string(name), "arguments": .string(arguments.text)],
            ]
        ]
    }

    private var head: JSONValue {
        [
            "id": .string("chatcmpl-\(self.id())"), "object": "chat.completion", "created": 0,
            "model": self.request.model.map { .string($0) } ?? .null,
        ]
    }

    private var finishReason: JSONValue { self.call == nil ? "stop" : "tool_calls" }

    var completion: JSONValue {
        var message: JSONValue = ["role": "assistant", "content": self.text.map { .string($0) } ?? .null]
        let calls = self.toolCalls
        if !calls.isEmpty { message = message.with(["tool_calls": .array(calls)]) }
        return self.head.with([
            "choices": [["index": 0, "message": message, "finish_reason": self.finishReason]], "usage": Self.usage,
        ])
    }

    /// Without the line that ends the stream.
    var completionEvents: [JSONValue] {
        var whole = self.head.with(["object": "chat.completion.chunk"])
        if self.request.includesUsage { whole = whole.with(["usage": nil]) }
        func chunk(_ delta: JSONValue, _ reason: JSONValue = .null) -> JSONValue {
            whole.with(["choices": [["index": 0, "delta": delta, "finish_reason": reason]]])
        }
        var events = [chunk(["role": "assistant", "content": ""])]
        if let text { events.append(chunk(["content": .string(text)])) }
        for (index, call) in self.toolCalls.enumerated() {
            events.append(chunk(["tool_calls": [call.with(["index": .integer(Int64(index))])]]))
        }
        events.append(chunk([:], self.finishReason))
        if self.request.includesUsage { events.append(whole.with(["choices": [], "usage": Self.usage])) }
        return events
    }
}
