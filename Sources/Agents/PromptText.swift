internal import ShimProtocol

/// Prepares a person's or program's text for a terminal.
enum PromptText {
    /// The text, unless it is empty, then each closing line and Enter. A prompt with control characters is refused by the
    /// shim.
    static func inputs(prompt: String, closing: [String]) -> [AgentMachine.TypedInput] {
        var parts = prompt.isEmpty ? [] : [(Array(prompt.utf8), true)]
        parts += closing.map { (Array($0.utf8) + [0x0d], false) }
        return parts.enumerated().map {
            AgentMachine.TypedInput(id: UInt64($0.offset + 1), bytes: $0.element.0, isPrompt: $0.element.1)
        }
    }
}
