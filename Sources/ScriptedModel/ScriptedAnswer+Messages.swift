internal import Domain

/// Anthropic Messages. Each answer counts 1,000 tokens of input, 200 read from the cache, and 50 of output.
extension ScriptedAnswer {
    private static let usage: JSONValue = [
        "input_tokens": 1000, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 200, "output_tokens": 50,
    ]

    private var stopReason: JSONValue { self.call == nil ? "end_turn" : "tool_use" }

    var message: JSONValue {
        var content: [JSONValue] = []
        if let text { content.append(["type": "text", "text": .string(text)]) }
        if case .function(let name, let arguments)? = self.call {
            content.append([
                "type": "tool_use", "id": .string("toolu_\(self.id().prefix(24))"), "name": .string(name),
                "input": arguments,
            ])
        }
        return [
            "id": .string("msg_\(self.id().prefix(24))"), "type": "message", "role": "assistant",
            "model": self.request.model.map { .string($0) } ?? .null, "content": .array(content),
            "stop_reason": self.stopReason, "stop_sequence": nil, "usage": Self.usage,
        ]
    }

    var messageEvents: [JSONValue] {
        let whole = self.message
        let start = whole.with([
            "content": [], "stop_reason": nil, "usage": Self.usage.with(["output_tokens": 1]),
        ])
        var events: [JSONValue] = [["type": "message_start", "message": start]]
        for (index, block) in (whole["content"]?.array ?? []).enumerated() {
            let empty: JSONValue
            let delta: JSONValue
            if let text = block["text"] {
                empty = block.with(["text": ""])
                delta = ["type": "text_delta", "text": text]
            } else {
                let input = block["input"]?.text ?? "{}"
                empty = block.with(["input": [:]])
                delta = ["type": "input_json_delta", "partial_json": .string(input)]
            }
            let place = JSONValue.integer(Int64(index))
            events += [
                ["type": "content_block_start", "index": place, "content_block": empty],
                ["type": "content_block_delta", "index": place, "delta": delta],
                ["type": "content_block_stop", "index": place],
            ]
        }
        return events + [
            [
                "type": "message_delta", "delta": ["stop_reason": self.stopReason, "stop_sequence": nil],
                "usage": Self.usage,
            ],
            ["type": "message_stop"],
        ]
    }
}
