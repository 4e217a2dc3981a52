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
