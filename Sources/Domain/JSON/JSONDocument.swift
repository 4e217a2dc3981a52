/// A JSON document with its source text. A member or element can be passed on exactly as it was written, with all digits of
/// its numbers.
package struct JSONDocument: Sendable {
    package let value: JSONValue
    private let source: [UInt8]
    private let parts: [Range<Int>]

    /// `parts` are the byte ranges of the members or elements of `value`, in their order.
    init(value: JSONValue, source: [UInt8], parts: [Range<Int>]) {
        self.value = value
        self.source = source
        self.parts = parts
    }

    /// The source text of a member's value; nil if the document is not an object or has no such member.
    package func bytes(of member: String) -> [UInt8]? {
        guard let index = self.value.members?.firstIndex(where: { $0.name == member }) else { return nil }
        return Array(self.source[self.parts[index]])
    }

    /// The source texts of the elements; empty if the document is not an array.
    package var elements: [[UInt8]] {
        guard self.value.array != nil else { return [] }
        return self.parts.map { Array(self.source[$0]) }
    }
}
