internal import Domain

/// One compiled schema. Others are named by their index, so that a recursive schema is no cycle of objects; a class,
/// since a check then takes one reference instead of a copy of all the rules.
final class SchemaNode: Sendable {
    /// Set for the schemas `true` and `false`, which have nothing else.
    let verdict: Bool?
    let types: SchemaTypes?
    let choices: SchemaChoices?
    let number: NumberLimits?
    let text: TextLimits?
    let list: ListLimits?
    let object: ObjectLimits?
    let branches: SchemaBranches?

    init(
        verdict: Bool? = nil, types: SchemaTypes? = nil, choices: SchemaChoices? = nil, number: NumberLimits? = nil,
        text: TextLimits? = nil, list: ListLimits? = nil, object: ObjectLimits? = nil, branches: SchemaBranches? = nil
    ) {
        self.verdict = verdict
        self.types = types
        self.choices = choices
        self.number = number
        self.text = text
        self.list = list
        self.object = object
        self.branches = branches
    }
}

/// The types of JSON Schema, as a set.
struct SchemaKinds: OptionSet, Sendable {
    let rawValue: UInt8

    static let null = SchemaKinds(rawValue: 1)
    static let boolean = SchemaKinds(rawValue: 2)
    static let integer = SchemaKinds(rawValue: 4)
    static let number = SchemaKinds(rawValue: 8)
    static let string = SchemaKinds(rawValue: 16)
    static let array = SchemaKinds(rawValue: 32)
    static let object = SchemaKinds(rawValue: 64)

    static let named: [String: SchemaKinds] = [
        "null": .null, "boolean": .boolean, "integer": .integer, "number": .number, "string": .string, "array": .array,
        "object": .object,
    ]

    /// Every type that the value is of: 1.0 is an integer too.
    init(of value: JSONValue) {
        switch value {
        case .null: self = .null
        case .bool: self = .boolean
        case .integer: self = [.integer, .number]
        case .number(let number): self = number.rounded() == number ? [.integer, .number] : .number
        case .string: self = .string
        case .array: self = .array
        case .object: self = .object
        }
    }

    init(rawValue: UInt8) { self.rawValue = rawValue }
}

/// The keyword `type`.
struct SchemaTypes: Sendable {
    let kinds: SchemaKinds
    /// Such as "string or null".
    let text: String
}

/// The keywords `enum` and `const`: a value is looked up by its canonical text.
struct SchemaChoices: Sendable {
    let texts: Set<[UInt8]>
    let areStrings: Bool
    let expectation: String
}

struct NumberLimits: Sendable {
    var minimum: ExactNumber?
    var maximum: ExactNumber?
    var exclusiveMinimum: ExactNumber?
    var exclusiveMaximum: ExactNumber?
    var divisor: ExactNumber?
}

struct TextLimits: Sendable {
    var minimum: Int?
    var maximum: Int?
    var pattern: SchemaPattern?
    var format: SchemaFormat?
}

struct ListLimits: Sendable {
    var minimum: Int?
    var maximum: Int?
    var isUnique = false
    var prefix: [Int] = []
    var items: Int?
    var contains: Int?
    var containsMinimum = 1
    var containsMaximum: Int?
}

struct ObjectLimits: Sendable {
    /// What becomes of a member that is not declared.
    enum Additional: Sendable {
        case open
        case closed
        case schema(Int)
    }

    struct Property: Sendable {
        let name: String
        let schema: Int
    }

    /// A lookup has to compare the name exactly, too.
    var properties: [String: Property] = [:]
    var patterns: [(pattern: SchemaPattern, schema: Int)] = []
    var additional = Additional.open
    var names: Int?
    var minimum: Int?
    var maximum: Int?
    var required: [String] = []
    var dependentRequired: [(name: String, needed: [String])] = []
    var dependentSchemas: [(name: String, schema: Int)] = []
    /// The declared names, for a message.
    var known = ""
}

/// The schemas that apply to the value itself.
struct SchemaBranches: Sendable {
    var reference: Int?
    var all: [Int] = []
    var any: [Int] = []
    var one: [Int] = []
    var negated: Int?
    var condition: Int?
    var consequence: Int?
    var alternative: Int?
}
