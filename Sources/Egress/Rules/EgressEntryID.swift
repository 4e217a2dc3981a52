/// The name of an entry, as audit events and answers show it.
package struct EgressEntryID: Hashable, Sendable, CustomStringConvertible {
    package let text: String

    /// Nil unless the text has 1 to 64 ASCII letters, digits and `. _ - : /`.
    package init?(_ text: String) {
        let isValid = text.utf8.allSatisfy { byte in
            ASCII.isLetter(byte) || ASCII.isDigit(byte) || "._-:/".utf8.contains(byte)
        }
        guard isValid, (1...64).contains(text.utf8.count) else { return nil }
        self.text = text
    }

    package var description: String { self.text }
}
