internal import Domain
internal import ModelUsage

/// The answer of a model in the form of one provider, whole and as a stream.
struct ScriptedAnswer: Sendable {
    /// One event of a stream.
    struct Event: Hashable, Sendable {
        /// As it is sent, with its end.
        let frame: String
        /// It carries text of the answer.
        let isText: Bool
    }

    let request: ScriptedRequest
    let text: String?
    let call: ToolCall?
    /// Makes 32 characters that no other answer has.
    let id: @Sendable () -> String

    /// The body of an answer that is not streamed.
    var body: JSONValue {
        switch self.request.provider {
        case .anthropic: self.message
        case .openAIResponses: self.response
        case .openAIChat, .gemini: self.completion
        }
    }

    /// The events of an answer that is streamed.
    var events: [Event] {
        switch self.request.provider {
        case .anthropic:
            self.messageEvents.map { Self.event($0, isText: $0["type"] == "content_block_delta") }
        case .openAIResponses:
            self.responseEvents.enumerated().map { number, event in
                Self.event(
                    event.with(["sequence_number": .integer(Int64(number))]),
                    isText: event["type"] == "response.output_text.delta")
            }
        case .openAIChat, .gemini:
            self.completionEvents.map { event in
                let isText =
                    event["choices"]?.array?.contains { $0["delta"]?["content"]?.string?.isEmpty == false } ?? false
                return Event(frame: "data: \(event.text)\n\n", isText: isText)
            } + [Event(frame: "data: [DONE]\n\n", isText: false)]
        }
    }

    private static func event(_ event: JSONValue, isText: Bool) -> Event {
        Event(frame: "event: \(event["type"]?.string ?? "")\ndata: \(event.text)\n\n", isText: isText)
    }
}

extension JSONValue {
    /// The object with these members replaced, or added at its end.
    func with(_ members: [String: JSONValue]) -> JSONValue {
        var rest = members
        var result = (self.members ?? []).map { JSONMember($0.name, rest.removeValue(forKey: $0.name) ?? $0.value) }
        result += rest.sorted { $0.key < $1.key }.map { JSONMember($0.key, $0.value) }
        return .object(result)
    }
}
