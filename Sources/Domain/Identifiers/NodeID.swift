/// The stable name of a worker node, by which Redis stores its lease and its running hash.
package struct NodeID: TextIdentifier, Hashable, Sendable, CustomStringConvertible {
    package let name: String

    /// Throws `DomainError.invalidIdentifier` when the text is not a valid name.
    package init(_ text: String) throws(DomainError) {
        self.name = try NameRule.check(
            text, kind: "node name", limit: 63, extra: "-.",
            expected: "1 to 63 of a-z, 0-9, - and ., beginning and ending with a letter or digit")
    }

    package var description: String { self.name }
}
