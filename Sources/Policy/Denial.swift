/// Why something may not be done.
package struct Denial: Hashable, Sendable {
    /// The kind of a denial.
    package enum Kind: Hashable, Sendable {
        /// No such action, or it is not on the allow-list; only the rule distinguishes the two.
        case notAllowed
        /// The params do not fit the action's schema.
        case invalidParams
        /// The credential lacks the scope that the operation asks for.
        case missingScope
        /// The credential belongs to another workspace.
        case otherWorkspace
    }

    package let kind: Kind
    package let rule: String
    /// One sentence that names the action and what was expected, never the list.
    package let reason: String
}
