/// The member names of providers' answers that decide usage. All others are `other`.
enum UsageMember: String, CaseIterable, Hashable, Sendable {
    case usage, usageMetadata
    case message, response, model, modelVersion, type
    case inputTokens = "input_tokens"
    case outputTokens = "output_tokens"
    case cacheReadInputTokens = "cache_read_input_tokens"
    case cacheCreationInputTokens = "cache_creation_input_tokens"
    case cacheCreation = "cache_creation"
    case ephemeral5m = "ephemeral_5m_input_tokens"
    case ephemeral1h = "ephemeral_1h_input_tokens"
    case inputTokensDetails = "input_tokens_details"
    case cachedTokens = "cached_tokens"
    case cacheWriteTokens = "cache_write_tokens"
    case promptTokens = "prompt_tokens"
    case completionTokens = "completion_tokens"
    case promptTokensDetails = "prompt_tokens_details"
    case promptTokenCount, candidatesTokenCount, thoughtsTokenCount, cachedContentTokenCount, toolUsePromptTokenCount
    case content, delta, output, choices, candidates, item
    case contentBlock = "content_block"
    case encryptedContent = "encrypted_content"
    case inlineData
    // Members that hold the model's text; a name that is not defined counts as text, too.
    case text, thinking, arguments, name, refusal, data
    case partialJSON = "partial_json"
    case reasoningContent = "reasoning_content"
    // Members next to the model's text that are not text.
    case id, role, signature, status, thoughtSignature, finishReason, index
    case finishReasonChat = "finish_reason"
    case stopReason = "stop_reason"
    case stopSequence = "stop_sequence"
    case toolUseID = "tool_use_id"
    case callID = "call_id"
    /// An element of an array.
    case element = ""
    case other = " "

    private static let names = Dictionary(uniqueKeysWithValues: Self.allCases.map { ($0.rawValue, $0) })
    /// Longer names are `other` without a look.
    static let longestName = 32

    /// The member of a name.
    static func named(_ name: String) -> UsageMember {
        guard !name.isEmpty, name != " " else { return .other }
        return self.names[name] ?? .other
    }

    /// Whether values of this name stand next to the model's text without being part of it.
    var isNotText: Bool {
        switch self {
        case .id, .role, .signature, .status, .thoughtSignature, .finishReason, .finishReasonChat, .stopReason,
            .stopSequence, .toolUseID, .callID, .type, .index, .model:
            true
        default: false
        }
    }
}
