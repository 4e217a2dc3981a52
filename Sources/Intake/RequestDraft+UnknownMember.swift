extension RequestDraft {
    /// A JSON document has a member that a draft does not have.
    package struct UnknownMember: Error, Hashable, CustomStringConvertible {
        package let description: String
    }
}
