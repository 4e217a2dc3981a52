/// The dotted name of an action, such as `shell.run`. Names are compared byte by byte, never by pattern.
package struct ActionName: TextIdentifier, Hashable, Sendable, CustomStringConvertible {
    package let name: String

    /// Throws `DomainError.invalidIdentifier` when the text is not a valid name.
    package init(_ text: String) throws(DomainError) {
        self.name = try NameRule.check(
            text, kind: "action", limit: 64, extra: "._",
            expected: "1 to 64 of a-z, 0-9, _ and ., beginning and ending with a letter or digit")
    }

    package var description: String { self.name }
}
