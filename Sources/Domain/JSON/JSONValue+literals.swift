extension JSONValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral, ExpressibleByNilLiteral
{
    /// Makes a string from a literal.
    package init(stringLiteral value: String) { self = .string(value) }
    /// Makes an integer from a literal.
    package init(integerLiteral value: Int64) { self = .integer(value) }
    /// Makes a Boolean from a literal.
    package init(booleanLiteral value: Bool) { self = .bool(value) }
    /// Makes an array from a literal.
    package init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
    /// Makes an object from a literal; keeps the order of the members and does not check for repeated names.
    package init(dictionaryLiteral elements: (String, JSONValue)...) {
        self = .object(elements.map { JSONMember($0.0, $0.1) })
    }
    /// Makes `null` from `nil`.
    package init(nilLiteral: ()) { self = .null }
}
