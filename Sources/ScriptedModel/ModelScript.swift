/// What the model does next in each conversation.
///
/// The first call of a turn is answered with a call of the shell tool that the request offers, the one that brings the
/// tool's result with a text. A request without such a tool gets the text at once. Markers in a text of the user change
/// that; of several texts with markers the last one counts. `MARK:text` and `MARK:budget` hold for each call of the
/// conversation, and the others for one call each, in the order of `ModelScript.Step.interruptions`.
package struct ModelScript: Sendable {
    /// One answer of the model.
    package enum Step: String, CaseIterable, Hashable, Sendable {
        /// A call of the tool.
        case tool
        /// A text.
        case text
        /// An edit of a file, written as text.
        case edit
        /// The status 429 with a short wait.
        case throttle
        /// The connection ends after the first text of the stream.
        case cut
        /// The stream pauses after its first event.
        case slow
        /// The status 402: the money is spent.
        case budget

        static let interruptions: [Step] = [.throttle, .cut, .slow]

        /// What a text of the user contains to get this answer.
        package var marker: String { "MARK:\(self.rawValue)" }
    }

    private struct Conversation: Hashable, Sendable {
        let session: String?
        let text: String
    }

    private var spent: [Conversation: Set<Step>] = [:]

    /// A script that has answered nothing.
    package init() {}

    /// The answer to a request, and what a client that does not notice an interruption gets: a tool call, a text or an
    /// edit.
    package mutating func next(_ request: ScriptedRequest) -> (step: Step, plain: Step) {
        let marked = request.userTexts.last { $0.contains("MARK:") }
        if let marked, marked.contains(Step.budget.marker) { return (.budget, .text) }
        guard request.call != nil || request.edit != nil else { return (.text, .text) }
        let isText = request.hasResult || marked?.contains(Step.text.marker) == true
        let plain: Step = isText ? .text : request.call == nil ? .edit : .tool
        guard let marked else { return (plain, plain) }
        let conversation = Conversation(session: request.session, text: marked)
        for step in Step.interruptions where marked.contains(step.marker) {
            guard self.spent[conversation, default: []].insert(step).inserted else { continue }
            return (step, plain)
        }
        // Without a name a conversation is known by its text only, which may come again.
        if request.session == nil, request.hasResult || request.edit != nil { self.spent[conversation] = nil }
        return (plain, plain)
    }
}
