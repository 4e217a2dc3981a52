package import Domain

/// A JSON Schema (2020-12) of params, compiled once. Objects are closed: a schema that leaves
/// `additionalProperties` open, or uses a keyword that is not supported here, is refused when it is loaded.
package struct JSONSchema: Sendable, Hashable {
    private indirect enum Rule: Sendable, Hashable {
        case object(properties: [String: JSONSchema], required: [String])
        case array(items: JSONSchema?, minimum: Int?, maximum: Int?)
        case string(minimum: Int?, maximum: Int?)
        case number(isInteger: Bool, minimum: Double?, maximum: Double?)
        case boolean
        case null
    }

    private let rule: Rule
    private let allowed: [JSONValue]?

    private static let common: Set<String> = ["type", "title", "description", "enum", "const", "default", "examples"]

    /// Compiles a schema; throws `DomainError` that names the place and the rule.
    package init(_ source: JSONValue, at path: String = "params") throws(DomainError) {
        guard let members = source.members else { throw Self.refuse(path, "a schema is an object") }
        guard let type = source["type"]?.string else { throw Self.refuse(path, "'type' must be one type's name") }
        if let const = source["const"] {
            self.allowed = [const]
        } else if let values = source["enum"] {
            guard let list = values.array, !list.isEmpty else {
                throw Self.refuse(path, "'enum' must be a list of values")
            }
            self.allowed = list
        } else {
            self.allowed = nil
        }
        var known = Self.common
        switch type {
        case "object":
            known.formUnion(["properties", "required", "additionalProperties"])
            self.rule = try Self.object(source, path)
        case "array":
            known.formUnion(["items", "minItems", "maxItems"])
            self.rule = .array(
                items: try source["items"].map { (item) throws(DomainError) in try JSONSchema(item, at: path + "[]") },
                minimum: try Self.count(source, "minItems", path), maximum: try Self.count(source, "maxItems", path))
        case "string":
            known.formUnion(["minLength", "maxLength"])
            self.rule = .string(
                minimum: try Self.count(source, "minLength", path), maximum: try Self.count(source, "maxLength", path))
        case "integer", "number":
            known.formUnion(["minimum", "maximum"])
            self.rule = .number(
                isInteger: type == "integer", minimum: try Self.bound(source, "minimum", path),
                maximum: try Self.bound(source, "maximum", path))
        case "boolean": self.rule = .boolean
        case "null": self.rule = .null
        default: throw Self.refuse(path, "'\(Printable.text(type))' is no type that is supported")
        }
        if let unknown = members.first(where: { !known.contains($0.name) }) {
            throw Self.refuse(path, "the keyword '\(Printable.text(unknown.name))' is not supported for type '\(type)'")
        }
    }

    /// Nil when the value fits, else the first thing that does not, with its place and what was expected.
    package func problem(with value: JSONValue, at path: String = "params") -> String? {
        if let mismatch = self.mismatch(value, path) { return mismatch }
        if let allowed = self.allowed, !allowed.contains(value) {
            return "\(path) must be one of \(allowed.map(\.text).joined(separator: ", "))"
        }
        return nil
    }

    /// The string that a top-level property must hold, when the schema asks for one.
    package func hasRequiredString(_ name: String) -> Bool {
        guard case .object(let properties, let required) = self.rule, let property = properties[name],
            case .string = property.rule
        else { return false }
        return required.contains(name)
    }

    private func mismatch(_ value: JSONValue, _ path: String) -> String? {
        switch (self.rule, value) {
        case (.object(let properties, let required), .object(let members)):
            return Self.objectProblem(members, properties, required, path)
        case (.array(let items, let minimum, let maximum), .array(let elements)):
            if let minimum, elements.count < minimum { return "\(path) must have at least \(minimum) items" }
            if let maximum, elements.count > maximum { return "\(path) must have at most \(maximum) items" }
            guard let items else { return nil }
            for (index, element) in elements.enumerated() {
                if let problem = items.problem(with: element, at: "\(path)[\(index)]") { return problem }
            }
            return nil
        case (.string(let minimum, let maximum), .string(let text)):
            // A scalar is one to four bytes of UTF-8, so most texts need no counting.
            let size = text.utf8.count
            if size <= maximum ?? .max, size / 4 >= minimum ?? 0 { return nil }
            let length = text.unicodeScalars.count
            if let minimum, length < minimum { return "\(path) must have at least \(minimum) characters" }
            if let maximum, length > maximum { return "\(path) must have at most \(maximum) characters" }
            return nil
        case (.number(_, let minimum, let maximum), .integer(let number)):
            return Self.boundProblem(Double(number), minimum, maximum, path)
        case (.number(let isInteger, let minimum, let maximum), .number(let number)):
            if isInteger, number.rounded() != number { return "\(path) must be an integer" }
            return Self.boundProblem(number, minimum, maximum, path)
        case (.boolean, .bool), (.null, .null): return nil
        default: return "\(path) must be of type \(self.typeName), not \(value.typeName)"
        }
    }

    private static func objectProblem(
        _ members: [JSONMember], _ properties: [String: JSONSchema], _ required: [String], _ path: String
    ) -> String? {
        for name in required where !members.contains(where: { $0.name == name }) {
            return "\(path) must have '\(name)'"
        }
        for member in members {
            guard let property = properties[member.name] else {
                let names = properties.keys.sorted().joined(separator: ", ")
                return "\(path) must not have '\(Printable.text(member.name))'; known are: \(names)"
            }
            if let problem = property.problem(with: member.value, at: "\(path).\(member.name)") { return problem }
        }
        return nil
    }

    private static func boundProblem(_ number: Double, _ minimum: Double?, _ maximum: Double?, _ path: String)
        -> String?
    {
        if let minimum, number < minimum { return "\(path) must be at least \(minimum)" }
        if let maximum, number > maximum { return "\(path) must be at most \(maximum)" }
        return nil
    }

    private var typeName: String {
        switch self.rule {
        case .object: "object"
        case .array: "array"
        case .string: "string"
        case .number(let isInteger, _, _): isInteger ? "integer" : "number"
        case .boolean: "boolean"
        case .null: "null"
        }
    }

    private static func object(_ source: JSONValue, _ path: String) throws(DomainError) -> Rule {
        guard source["additionalProperties"] == .bool(false) else {
            throw self.refuse(path, "an object must be closed: expected \"additionalProperties\": false")
        }
        var properties: [String: JSONSchema] = [:]
        if let declared = source["properties"] {
            guard let members = declared.members else { throw self.refuse(path, "'properties' must be an object") }
            for member in members {
                properties[member.name] = try JSONSchema(member.value, at: "\(path).\(member.name)")
            }
        }
        var required: [String] = []
        if let names = source["required"] {
            guard let list = names.array else { throw self.refuse(path, "'required' must be a list of names") }
            for name in list {
                guard let name = name.string, properties[name] != nil else {
                    throw self.refuse(path, "'required' names a property that is not declared")
                }
                required.append(name)
            }
        }
        return .object(properties: properties, required: required)
    }

    private static func count(_ source: JSONValue, _ name: String, _ path: String) throws(DomainError) -> Int? {
        guard let value = source[name] else { return nil }
        guard let count = value.integer, count >= 0, let count = Int(exactly: count) else {
            throw self.refuse(path, "'\(name)' must be an integer from 0")
        }
        return count
    }

    private static func bound(_ source: JSONValue, _ name: String, _ path: String) throws(DomainError) -> Double? {
        switch source[name] {
        case nil: return nil
        case .integer(let number): return Double(number)
        case .number(let number): return number
        default: throw self.refuse(path, "'\(name)' must be a number")
        }
    }

    private static func refuse(_ path: String, _ problem: String) -> DomainError {
        .invalidValue("the schema at \(path) is refused: \(problem)")
    }
}
