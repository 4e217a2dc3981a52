internal import Domain

/// The text of a value that equal values share, in the sense of JSON Schema: 1 is 1.0, and the order of an object's
/// members does not matter.
enum CanonicalJSON {
    static func bytes(of value: JSONValue) -> [UInt8] { self.canonical(value).bytes }

    private static func canonical(_ value: JSONValue) -> JSONValue {
        switch value {
        case .null, .bool, .integer, .string: value
        case .number(let number): Int64(exactly: number).map { .integer($0) } ?? value
        case .array(let elements): .array(elements.map { self.canonical($0) })
        case .object(let members):
            .object(
                members.map { JSONMember($0.name, self.canonical($0.value)) }
                    .sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) })
        }
    }
}
