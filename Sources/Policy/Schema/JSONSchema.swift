package import Domain

/// A JSON Schema (draft 2020-12), compiled once. Whatever it could not enforce, an unknown keyword above all, is
/// refused when it is loaded, so that a misspelt limit is never silently no limit.
package struct JSONSchema: Sendable, Hashable {
    /// How much a schema that says nothing admits.
    package enum Mode: Hashable, Sendable {
        /// For what an untrusted side sends: the root is an object, every place says what it holds, and an object has
        /// no other members than the declared ones, whether or not the schema says `additionalProperties: false`.
        case closed
        /// The draft as it is written: what is not forbidden is allowed.
        case standard
    }

    /// The schema as it was loaded.
    package let source: JSONValue
    package let mode: Mode
    private let nodes: [SchemaNode]

    /// Compiles a schema; throws `DomainError` that names the place and the rule.
    package init(_ source: JSONValue, at path: String = "params", mode: Mode = .closed) throws(DomainError) {
        self.source = source
        self.mode = mode
        self.nodes = try SchemaCompiler.nodes(of: source, path: path, mode: mode)
    }

    /// Nil when the value fits, else the first thing that does not, with its place and what was expected.
    package func problem(with value: JSONValue, at path: String = "params") -> String? {
        var checker = SchemaChecker(nodes: self.nodes)
        let problem = checker.problem(SchemaCompiler.root, value)
        // Inside `not`, running out would have counted as a success.
        guard !checker.isExhausted else { return "\(path) takes too long to check" }
        return problem?.text(at: path)
    }

    /// Whether a top-level property must be there and hold a string.
    package func hasRequiredString(_ name: String) -> Bool {
        guard let object = self.nodes.first?.object, var index = object.properties[name]?.schema else { return false }
        guard object.required.contains(where: { $0.isExactly(name) }) else { return false }
        while true {
            let node = self.nodes[index]
            if node.types?.kinds == .string || node.choices?.areStrings == true { return true }
            guard let reference = node.branches?.reference else { return false }
            index = reference
        }
    }

    // What is compiled follows from these two.
    /// Compares mode and source only.
    package static func == (left: JSONSchema, right: JSONSchema) -> Bool {
        left.mode == right.mode && left.source == right.source
    }

    /// Hashes mode and source only.
    package func hash(into hasher: inout Hasher) {
        hasher.combine(self.mode)
        hasher.combine(self.source)
    }
}

extension String {
    /// Equality of code points: Swift's `==` takes two spellings of one character for the same, JSON does not.
    func isExactly(_ other: String) -> Bool { self.utf8.elementsEqual(other.utf8) }
}
