/// A draft cannot become a request. Nothing was decided, audited or stored.
package struct DraftError: Error, Hashable, Sendable {
    package let field: RequestDraft.Field
    /// True when the request conflicts with the current state, such as a deadline that has passed.
    package let isConflict: Bool
    private let problem: String
    private let isSentence: Bool

    /// Creates an error whose message is the field's name and `problem`, such as "must be …".
    package init(_ field: RequestDraft.Field, _ problem: String, isConflict: Bool = false) {
        self.field = field
        self.problem = problem
        self.isConflict = isConflict
        self.isSentence = false
    }

    /// Creates an error whose message is `sentence`, which names the value itself.
    package init(_ field: RequestDraft.Field, sentence: String) {
        self.field = field
        self.problem = sentence
        self.isConflict = false
        self.isSentence = true
    }

    /// Returns the message. `names` maps fields to their names in the interface that the draft came from.
    package func message(naming names: (RequestDraft.Field) -> String) -> String {
        guard !self.isSentence else { return self.problem }
        var text = "\(names(self.field)) \(self.problem)"
        for field in RequestDraft.Field.allCases {
            text = text.replacing(Self.other(field), with: names(field))
        }
        return text
    }

    /// A placeholder for the name of another field within a problem.
    static func other(_ field: RequestDraft.Field) -> String { "\u{0}\(field)\u{0}" }
}
