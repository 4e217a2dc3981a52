/// The name of a workspace, which is one tenant.
package struct WorkspaceID: TextIdentifier, Hashable, Sendable, CustomStringConvertible {
    package let name: String

    /// Throws `DomainError.invalidIdentifier` when the text is not a valid name.
    package init(_ text: String) throws(DomainError) {
        self.name = try NameRule.check(
            text, kind: "workspace", limit: 63, extra: "-_",
            expected: "1 to 63 of a-z, 0-9, - and _, beginning and ending with a letter or digit")
    }

    package var description: String { self.name }
}
