internal import Domain
internal import Redaction

/// The shape of params without their values: names, types and lengths.
enum MaskedParams {
    private static let limit = 64

    /// At most 64 characters, and never more than half of a short one.
    static func prefix(of params: JSONValue) -> String {
        let text = self.masked(params).text
        return String(text.prefix(text.count > self.limit ? self.limit : (text.count + 1) / 2))
    }

    private static func masked(_ value: JSONValue) -> JSONValue {
        switch value {
        case .null, .bool: value
        case .integer, .number: "number"
        case .string(let text): .string("text \(text.utf8.count)")
        case .array(let list): .array(list.prefix(8).map(self.masked))
        case .object(let members):
            .object(
                members.prefix(16).map {
                    JSONMember(Printable.text(Redactor.redacted($0.name), limit: 32), self.masked($0.value))
                })
        }
    }
}
