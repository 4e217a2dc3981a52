/// A JSON value. Members keep their order, and integers of 64 bits are exact.
package indirect enum JSONValue: Hashable, Sendable {
    case null
    case bool(Bool)
    case integer(Int64)
    case number(Double)
    case string(String)
    case array([JSONValue])
    case object([JSONMember])

    /// The value of a member; nil if this is not an object or has no such member.
    package subscript(_ name: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.name == name }?.value
    }

    /// The text; nil if this is not a string.
    package var string: String? {
        if case .string(let text) = self { text } else { nil }
    }

    /// The number; nil if it was not written as an integer. See `wholeNumber`.
    package var integer: Int64? {
        if case .integer(let value) = self { value } else { nil }
    }

    /// The integer in any notation, as JSON Schema defines it: 5.0 is an integer; nil for anything else.
    package var wholeNumber: Int64? {
        switch self {
        case .integer(let value): value
        case .number(let value): Int64(exactly: value)
        default: nil
        }
    }

    /// The flag; nil if this is not a Boolean.
    package var bool: Bool? {
        if case .bool(let value) = self { value } else { nil }
    }

    /// The elements; nil if this is not an array.
    package var array: [JSONValue]? {
        if case .array(let values) = self { values } else { nil }
    }

    /// The members; nil if this is not an object.
    package var members: [JSONMember]? {
        if case .object(let members) = self { members } else { nil }
    }

    /// The name of the value's type in JSON Schema.
    package var typeName: String {
        switch self {
        case .null: "null"
        case .bool: "boolean"
        case .integer: "integer"
        case .number: "number"
        case .string: "string"
        case .array: "array"
        case .object: "object"
        }
    }

    /// The document as compact text on one line.
    package var text: String { String(decoding: self.bytes, as: UTF8.self) }

    /// The compact text in UTF-8.
    package var bytes: [UInt8] {
        var writer = JSONWriter()
        writer.write(self)
        return writer.bytes
    }
}
