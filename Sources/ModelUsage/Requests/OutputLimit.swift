internal import Domain

/// The output tokens that a request may cost.
struct OutputLimit: Hashable {
    /// Of all answers together.
    let total: UInt64
    /// Whether the request sets it.
    let isSet: Bool

    /// Throws `malformed_request` for a number that is not a positive integer, and `output_limit` for one that the rules do
    /// not allow.
    init(_ document: JSONValue, provider: ModelProvider, rules: ModelRequestRules) throws(ModelRefusal) {
        // Gemini takes both spellings; the larger number holds when a request uses both.
        let settings =
            provider == .gemini
            ? [document["generationConfig"], document["generation_config"]].compactMap { $0 } : [document]
        var limit: UInt64?
        var answers: UInt64 = 1
        for object in settings {
            for name in Self.limitNames(provider) {
                guard let number = try Self.number(name, in: object) else { continue }
                limit = max(limit ?? 0, number)
            }
            for name in Self.answerNames(provider) { answers = max(answers, try Self.number(name, in: object) ?? 1) }
        }
        if let limit, limit > rules.outputLimit {
            throw Self.refusal("\(limit) output tokens are requested, and \(rules.outputLimit) are allowed")
        }
        guard answers <= rules.answerLimit else {
            throw Self.refusal("\(answers) answers are requested, and \(rules.answerLimit) are allowed")
        }
        self.total = (limit ?? rules.defaultOutput).multipliedSaturated(by: answers)
        self.isSet = limit != nil
    }

    private static func limitNames(_ provider: ModelProvider) -> [String] {
        switch provider {
        case .anthropic: ["max_tokens"]
        case .openAIResponses: ["max_output_tokens"]
        case .openAIChat: ["max_completion_tokens", "max_tokens"]
        case .gemini: ["maxOutputTokens", "max_output_tokens"]
        }
    }

    private static func answerNames(_ provider: ModelProvider) -> [String] {
        switch provider {
        case .anthropic, .openAIResponses: []
        case .openAIChat: ["n"]
        case .gemini: ["candidateCount", "candidate_count"]
        }
    }

    private static func number(_ name: String, in document: JSONValue) throws(ModelRefusal) -> UInt64? {
        guard let value = document[name], value != .null else { return nil }
        guard let integer = value.wholeNumber, integer > 0 else {
            throw .malformed("'\(name)' must be an integer above 0")
        }
        return UInt64(integer)
    }

    private static func refusal(_ problem: String) -> ModelRefusal {
        ModelRefusal(status: 400, code: .outputLimit, message: problem + ": ask for less")
    }
}
