internal import Domain

/// OpenAI Responses. Each answer counts 1,200 tokens of input, 200 of them from the cache, and 50 of output, 10 of them of
/// reasoning.
extension ScriptedAnswer {
    private static let usage: JSONValue = [
        "input_tokens": 1200, "input_tokens_details": ["cached_tokens": 200], "output_tokens": 50,
        "output_tokens_details": ["reasoning_tokens": 10], "total_tokens": 1250,
    ]

    var response: JSONValue {
        var output: [JSONValue] = []
        if let text {
            output.append([
                "type": "message", "id": .string("msg_\(self.id())"), "role": "assistant", "status": "completed",
                "content": [["type": "output_text", "text": .string(text), "annotations": []]],
            ])
        }
        if let call { output.append(self.item(of: call)) }
        return [
            "id": .string("resp_\(self.id())"), "object": "response", "created_at": 0, "status": "completed",
            "model": self.request.model.map { .string($0) } ?? .null, "output": .array(output), "usage": Self.usage,
        ]
    }

    private func item(of call: ToolCall) -> JSONValue {
        let item: JSONValue = [
            "id": .string("fc_\(self.id())"), "call_id": .string("call_\(self.id().prefix(24))"),
            "status": "completed",
        ]
        switch call {
        case .shell:
            return item.with([
                "type": "local_shell_call",
                "action": ["type": "exec", "command": ["bash", "-c", .string(ToolCall.command)]],
            ])
        case .program(let name, let input):
            return item.with(["type": "custom_tool_call", "name": .string(name), "input": .string(input)])
        case .function(let name, let arguments):
            return item.with([
                "type": "function_call", "name": .string(name), "arguments": .string(arguments.text),
            ])
        }
    }

    var responseEvents: [JSONValue] {
        let whole = self.response
        let empty = whole.with(["status": "in_progress", "output": [], "usage": nil])
        var events: [JSONValue] = [["type": "response.created", "response": empty]]
        for (index, item) in (whole["output"]?.array ?? []).enumerated() {
            let place = JSONValue.integer(Int64(index))
            let at: JSONValue = ["item_id": item["id"] ?? .null, "output_index": place]
            events.append([
                "type": "response.output_item.added", "output_index": place,
                "item": item.with(["status": "in_progress"]),
            ])
            if item["type"] == "message", let text {
                let part = at.with(["content_index": 0])
                events.append(part.with(["type": "response.output_text.delta", "delta": .string(text)]))
                events.append(part.with(["type": "response.output_text.done", "text": .string(text)]))
            } else if item["type"] == "function_call", let arguments = item["arguments"] {
                events.append(at.with(["type": "response.function_call_arguments.delta", "delta": arguments]))
                events.append(at.with(["type": "response.function_call_arguments.done", "arguments": arguments]))
            }
            events.append(["type": "response.output_item.done", "output_index": place, "item": item])
        }
        return events + [["type": "response.completed", "response": whole]]
    }
}
