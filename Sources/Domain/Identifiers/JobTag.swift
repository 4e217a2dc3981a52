/// A name that a submitter gives to jobs, for listing them.
package struct JobTag: TextIdentifier, Hashable, Sendable, CustomStringConvertible {
    package let name: String

    /// The maximum number of tags of one job.
    package static let limit = 8

    /// Throws `DomainError.invalidIdentifier` when the text is not a valid tag.
    package init(_ text: String) throws(DomainError) {
        self.name = try NameRule.check(
            text, kind: "tag", limit: 63, extra: "-_.",
            expected: "1 to 63 of a-z, 0-9, -, _ and ., beginning and ending with a letter or digit")
    }

    package var description: String { self.name }
}
