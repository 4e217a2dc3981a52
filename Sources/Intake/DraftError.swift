/// Why a draft is not a request. Nothing was decided, audited or stored.
package struct DraftError: Error, Hashable, Sendable {
    package let field: RequestDraft.Field
    /// The request contradicts what is so already, such as a deadline that has passed.
    package let isConflict: Bool
    private let problem: String
    private let isSentence: Bool

    /// `problem` continues the field's name: "must be …".
    package init(_ field: RequestDraft.Field, _ problem: String, isConflict: Bool = false) {
        self.field = field
        self.problem = problem
        self.isConflict = isConflict
        self.isSentence = false
    }

    /// `sentence` names the value itself.
    package init(_ field: RequestDraft.Field, sentence: String) {
        self.field = field
        self.problem = sentence
        self.isConflict = false
        self.isSentence = true
    }

    /// The problem as a sentence, with the names that the way in has for the fields.
    package func message(naming names: (RequestDraft.Field) -> String) -> String {
        guard !self.isSentence else { return self.problem }
        var text = "\(names(self.field)) \(self.problem)"
        for field in RequestDraft.Field.allCases {
            text = text.replacing(Self.other(field), with: names(field))
        }
        return text
    }

    /// Stands for another field's name within a problem.
    static func other(_ field: RequestDraft.Field) -> String { "\u{0}\(field)\u{0}" }
}
