package import Domain

extension JSONValue {
    /// The document with secrets in its texts replaced, and the values of members whose name names a secret. It has the
    /// same form; names of members are redacted, too.
    package func redacted(_ rules: RedactionRules = .standard) -> JSONValue {
        switch self {
        case .null, .bool, .integer, .number: self
        case .string(let text): .string(Redactor.redacted(text, rules))
        case .array(let list): .array(list.map { $0.redacted(rules) })
        case .object(let members): .object(members.map { $0.redacted(rules) })
        }
    }
}

extension JSONMember {
    fileprivate func redacted(_ rules: RedactionRules) -> JSONMember {
        let name = Redactor.redacted(self.name, rules)
        let value = self.value.redacted(rules)
        switch value {
        case .array, .object, .null, .bool: return JSONMember(name, value)
        case .integer, .number, .string: break
        }
        // The name decides what the value is, as in a line of a log.
        let text = JSONValue.object([JSONMember(name, .string(value.string ?? value.text))]).bytes
        let shown = Redactor.redacted(text, rules)
        guard shown != text else { return JSONMember(name, value) }
        return JSONMember(name, JSONValue(ifValid: shown)?.members?.first?.value ?? .string("[redacted:secret]"))
    }
}
