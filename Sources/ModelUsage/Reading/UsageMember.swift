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

    /// The names by their length, which few of them share.
    private static let names: [[(bytes: [UInt8], member: UsageMember)]] = {
        let all = Self.allCases.filter { $0 != .element && $0 != .other }.map { (Array($0.rawValue.utf8), $0) }
        let longest = all.map(\.0.count).max() ?? 0
        return (0...longest).map { length in all.filter { $0.0.count == length } }
    }()

    /// The member of a name.
    static func named(_ name: [UInt8]) -> UsageMember {
        guard self.names.indices.contains(name.count) else { return .other }
        return self.names[name.count].first { $0.bytes == name }?.member ?? .other
    }

    /// Whether the text of such a member is read; others are counted only.
    var isKept: Bool { self == .model || self == .modelVersion || self == .type }

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
