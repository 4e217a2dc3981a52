/// An identifier that is parsed from text.
package protocol TextIdentifier {
    /// Throws `DomainError.invalidIdentifier` when the text is not a valid one.
    init(_ text: String) throws(DomainError)
}

extension TextIdentifier {
    /// nil when the text is not a valid identifier: for places where such a text is an ordinary answer, not an error.
    package init?(ifValid text: String) {
        do throws(DomainError) { self = try Self(text) } catch { return nil }
    }
}
