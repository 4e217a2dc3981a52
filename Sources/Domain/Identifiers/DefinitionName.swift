/// The name of a definition under `Policies/`, such as an agent, a sandbox profile or a role, and of a secret.
package struct DefinitionName: TextIdentifier, Hashable, Sendable, CustomStringConvertible {
    package let name: String

    /// Throws `DomainError.invalidIdentifier` when the text is not a valid name.
    package init(_ text: String) throws(DomainError) {
        self.name = try NameRule.check(
            text, kind: "definition", limit: 63, extra: "-_",
            expected: "1 to 63 of a-z, 0-9, - and _, beginning and ending with a letter or digit")
    }

    private init(known name: String) { self.name = name }

    /// The name of the sandbox profile that the node uses to test its own sandbox.
    package static let measured = DefinitionName(known: "measured")

    package var description: String { self.name }
}
