/// What an answer has said about usage so far, and how much text of the model has passed.
struct UsageTally: Hashable, Sendable {
    /// The numbers that providers report.
    enum Count: Hashable, Sendable {
        case input, output, cacheRead, cacheWrite, cacheWriteMinutes, cacheWriteHour, thoughts, toolPrompt
    }

    let provider: ModelProvider
    private(set) var counts: [Count: UInt64] = [:]
    private(set) var model: String?
    /// A number of the usage was negative, not whole, above the limit, or not a number.
    private(set) var hasImplausible = false
    /// The usage that ends an answer was read, as opposed to the first numbers of a stream.
    private(set) var hasFinalUsage = false
    /// A part of the answer that followed the last usage was not JSON.
    private(set) var hasGapSinceUsage = false
    private(set) var textBytes: UInt64 = 0
    private(set) var textBytesAtOutput: UInt64 = 0
    /// The `type` of the event that is being read.
    private(set) var eventType = ""

    /// Whether the provider named any number.
    var hasUsage: Bool { !self.counts.isEmpty }

    /// Whether cached tokens are at most the input that includes them. Anthropic's input does not include them.
    var isCacheWithinInput: Bool {
        let cached = (self.counts[.cacheRead] ?? 0).addingSaturated(self.counts[.cacheWrite] ?? 0)
        return self.provider == .anthropic || cached <= self.counts[.input] ?? 0
    }

    init(provider: ModelProvider) { self.provider = provider }

    /// The next document of the stream begins.
    mutating func beganDocument() { self.eventType = "" }

    /// A part of the answer could not be read.
    mutating func missedDocument() { self.hasGapSinceUsage = true }

    /// Takes the last leaf of a scanner.
    mutating func read(_ scanner: JSONScanner) {
        var path = scanner.path[...]
        // Gemini streams an array of answers when it is not asked for events.
        if path.first == .element { path = path.dropFirst() }
        let isWrapped = path.first == self.wrapper && path.count > 1
        if isWrapped { path = path.dropFirst() }
        guard let root = path.first, let last = path.last else { return }
        switch root {
        case .usage where self.provider != .gemini, .usageMetadata where self.provider == .gemini:
            // The numbers of Anthropic's first event are not the final ones.
            self.readUsage(path.dropFirst(), scanner, isFinal: !(isWrapped && self.provider == .anthropic))
        case .model, .modelVersion:
            if path.count == 1, self.model == nil, scanner.kind == .text, !scanner.kept.isEmpty {
                self.model = scanner.keptText
            }
        case .type:
            if path.count == 1, !isWrapped, scanner.kind == .text { self.eventType = scanner.keptText }
        default:
            guard scanner.kind != .literal, !last.isNotText, self.isText(root, last, isWrapped: isWrapped) else {
                return
            }
            let size = scanner.sizeWithName
            // The tokens of an image do not depend on the size of its encoding.
            let counted = path.contains(.inlineData) ? min(size, TokenEstimate.imageBytes) : size
            self.textBytes = self.textBytes.addingSaturated(counted)
        }
    }

    /// The member that holds the answer in an event of a stream.
    private var wrapper: UsageMember? {
        switch self.provider {
        case .anthropic: .message
        case .openAIResponses: .response
        case .openAIChat, .gemini: nil
        }
    }

    private func isText(_ root: UsageMember, _ last: UsageMember, isWrapped: Bool) -> Bool {
        switch (self.provider, root) {
        case (.anthropic, .content), (.anthropic, .delta), (.anthropic, .contentBlock): true
        // Later events of a stream repeat the text of its deltas. Encrypted reasoning has no deltas.
        case (.openAIResponses, .delta): true
        case (.openAIResponses, .output): !isWrapped
        case (.openAIResponses, .item): last == .encryptedContent
        case (.openAIChat, .choices): true
        case (.gemini, .candidates): true
        default: false
        }
    }

    private mutating func readUsage(_ path: ArraySlice<UsageMember>, _ scanner: JSONScanner, isFinal: Bool) {
        guard let count = self.count(at: path) else { return }
        guard scanner.kind == .number, let tokens = TokenCount(scanner.kept) else {
            // `null` is a number that the provider does not have yet.
            if scanner.kind != .literal || scanner.kept != Array("null".utf8) { self.hasImplausible = true }
            return
        }
        if !tokens.isExact { self.hasImplausible = true }
        // Anthropic's numbers are cumulative, and its last event may repeat some as zero; elsewhere the last one holds.
        let previous = self.provider == .anthropic ? self.counts[count] ?? 0 : 0
        self.counts[count] = max(previous, tokens.value)
        if count == .output || count == .thoughts { self.textBytesAtOutput = self.textBytes }
        self.hasGapSinceUsage = false
        if isFinal, count == .output || self.provider == .gemini { self.hasFinalUsage = true }
    }

    private func count(at path: ArraySlice<UsageMember>) -> Count? {
        guard let first = path.first, let last = path.last, path.count <= 2 else { return nil }
        switch (self.provider, path.count == 2 ? first : .other, last) {
        case (.anthropic, .other, .inputTokens), (.openAIResponses, .other, .inputTokens),
            (.openAIChat, .other, .promptTokens), (.gemini, .other, .promptTokenCount):
            return .input
        case (.anthropic, .other, .outputTokens), (.openAIResponses, .other, .outputTokens),
            (.openAIChat, .other, .completionTokens), (.gemini, .other, .candidatesTokenCount):
            return .output
        case (.anthropic, .other, .cacheReadInputTokens), (.openAIResponses, .inputTokensDetails, .cachedTokens),
            (.openAIChat, .promptTokensDetails, .cachedTokens), (.gemini, .other, .cachedContentTokenCount):
            return .cacheRead
        case (.anthropic, .other, .cacheCreationInputTokens),
            (.openAIResponses, .inputTokensDetails, .cacheWriteTokens),
            (.openAIChat, .promptTokensDetails, .cacheWriteTokens):
            return .cacheWrite
        case (.anthropic, .cacheCreation, .ephemeral5m): return .cacheWriteMinutes
        case (.anthropic, .cacheCreation, .ephemeral1h): return .cacheWriteHour
        case (.gemini, .other, .thoughtsTokenCount): return .thoughts
        case (.gemini, .other, .toolUsePromptTokenCount): return .toolPrompt
        default: return nil
        }
    }
}
