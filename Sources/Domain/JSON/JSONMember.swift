/// One member of a JSON object.
package struct JSONMember: Hashable, Sendable {
    package let name: String
    package let value: JSONValue

    /// Takes a name and a value; does not escape the name.
    package init(_ name: String, _ value: JSONValue) {
        self.name = name
        self.value = value
    }
}
