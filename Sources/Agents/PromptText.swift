internal import ShimProtocol

/// Prepares a person's or program's text for a terminal.
enum PromptText {
    /// The text, unless it is empty, then each closing line and Enter. Control characters are dropped, so that no text can
    /// end a paste early or drive the terminal.
    static func inputs(prompt: String, closing: [String]) -> [AgentMachine.TypedInput] {
        var parts = prompt.isEmpty ? [] : [(TypedText.cleaned(prompt), true)]
        parts += closing.map { (TypedText.cleaned($0) + [0x0d], false) }
        return parts.enumerated().map {
            AgentMachine.TypedInput(id: UInt64($0.offset + 1), bytes: $0.element.0, isPrompt: $0.element.1)
        }
    }
}
