internal import Domain

/// Turns a schema into nodes. No step of it recurses, since a policy may hold any number of references in a row.
struct SchemaCompiler {
    /// The index of the whole schema.
    static let root = 0
    /// How many schemas may apply to the same value one inside the other: it bounds the checker's stack.
    static let chainLimit = 8

    /// What a schema is asked to do where it stands, which decides how it is compiled.
    enum Role: Hashable {
        /// It alone says what a value may hold: in a closed schema, its objects are closed.
        case owning
        /// It says something about a value that another schema owns. Were it closed too, `not` and `if` would fail for
        /// members that it does not name, and let through what they are there to catch.
        case asserting
    }

    /// A schema to be compiled.
    struct Place: Hashable {
        let pointer: String
        let role: Role
    }

    private let path: String
    private let mode: JSONSchema.Mode
    private var schemas: [String: JSONValue] = [:]
    private var indices: [Place: Int] = [:]
    private var places: [Place] = []
    /// By index, the schemas that apply to the same value.
    private var chains: [[Int]] = []

    private init(path: String, mode: JSONSchema.Mode) {
        self.path = path
        self.mode = mode
    }

    /// The nodes, the whole schema's first; throws `DomainError` that names the place and the keyword.
    static func nodes(of source: JSONValue, path: String, mode: JSONSchema.Mode) throws(DomainError) -> [SchemaNode] {
        var compiler = SchemaCompiler(path: path, mode: mode)
        let pointers = try compiler.collect(source)
        let isClosed = mode == .closed
        _ = compiler.index(Place(pointer: "", role: isClosed ? .owning : .asserting))
        var nodes = try compiler.compileReached()
        if isClosed, nodes[Self.root].types?.kinds != .object {
            throw compiler.refuse("", "expected \"type\": \"object\"")
        }
        // What nothing refers to must be right as well.
        for pointer in pointers
        where [.owning, .asserting].allSatisfy({ compiler.indices[Place(pointer: pointer, role: $0)] == nil }) {
            _ = compiler.index(Place(pointer: pointer, role: .asserting))
        }
        nodes += try compiler.compileReached(from: nodes.count)
        try compiler.checkChains()
        return nodes
    }

    private func refuse(_ pointer: String, _ problem: String) -> DomainError {
        SchemaReader(schema: .null, pointer: pointer, path: self.path).refuse(problem)
    }

    /// Finds every schema, and what is none of the known keywords.
    private mutating func collect(_ source: JSONValue) throws(DomainError) -> [String] {
        var pointers: [String] = []
        var pending = [("", source)]
        while let (pointer, schema) = pending.popLast() {
            self.schemas[pointer] = schema
            pointers.append(pointer)
            if case .bool = schema { continue }
            guard let members = schema.members else {
                throw self.refuse(pointer, "a schema is an object, true or false")
            }
            for member in members {
                guard let content = SchemaKeyword.contents[member.name] else {
                    throw self.refuse(pointer, "the keyword '\(Printable.text(member.name))' is not supported")
                }
                pending += try self.schemas(in: member, content, pointer)
            }
        }
        return pointers
    }

    private func schemas(
        in member: JSONMember, _ content: SchemaKeyword.Content, _ pointer: String
    ) throws(DomainError) -> [(String, JSONValue)] {
        let place = pointer + SchemaPointer.step(member.name)
        switch content {
        case .value: return []
        case .schema: return [(place, member.value)]
        case .schemas:
            guard let list = member.value.array, !list.isEmpty else {
                throw self.refuse(pointer, "'\(member.name)' must be a list of schemas")
            }
            return list.enumerated().map { ("\(place)/\($0.offset)", $0.element) }
        case .namedSchemas:
            guard let named = member.value.members else {
                throw self.refuse(pointer, "'\(member.name)' must be an object of schemas")
            }
            return named.map { (place + SchemaPointer.step($0.name), $0.value) }
        }
    }

    /// The index that the schema has or will have.
    private mutating func index(_ place: Place) -> Int {
        if let index = self.indices[place] { return index }
        let index = self.places.count
        self.indices[place] = index
        self.places.append(place)
        self.chains.append([])
        return index
    }

    /// Compiles what is asked for, and what that asks for.
    private mutating func compileReached(from first: Int = 0) throws(DomainError) -> [SchemaNode] {
        var nodes: [SchemaNode] = []
        while first + nodes.count < self.places.count {
            let index = first + nodes.count
            let place = self.places[index]
            guard let schema = self.schemas[place.pointer] else {
                throw self.refuse(place.pointer, "there is no schema")
            }
            nodes.append(try self.node(schema, place, index))
        }
        return nodes
    }

    private mutating func node(_ schema: JSONValue, _ place: Place, _ index: Int) throws(DomainError) -> SchemaNode {
        let reader = SchemaReader(schema: schema, pointer: place.pointer, path: self.path)
        if case .bool(let verdict) = schema {
            guard place.role == .asserting || !verdict else {
                throw self.refuse(place.pointer, "it admits anything: expected a schema that says a type")
            }
            return SchemaNode(verdict: verdict)
        }
        let types = try reader.types()
        let choices = try reader.choices()
        try reader.checkAnnotations()
        if self.mode == .closed { try reader.checkEffect(types) }
        if place.role == .owning { try reader.checkOwner(types, choices) }
        let branches = try self.branches(reader, place, index, mayDelegate: types == nil && choices == nil)
        // A list of values is closed as it is.
        let isClosed =
            place.role == .owning && choices == nil && (types?.kinds.contains(.object) ?? reader.declaresMembers)
        return SchemaNode(
            types: types, choices: choices, number: try reader.numberLimits(), text: try reader.textLimits(),
            list: try self.list(reader, place), object: try self.object(reader, place, index, isClosed: isClosed),
            branches: branches)
    }

    // MARK: What is inside

    private mutating func child(_ place: Place, _ steps: [String], _ role: Role) -> Int {
        self.index(Place(pointer: place.pointer + steps.map { SchemaPointer.step($0) }.joined(), role: role))
    }

    private mutating func child(_ reader: SchemaReader, _ place: Place, _ keyword: String, _ role: Role) -> Int? {
        reader.schema[keyword] == nil ? nil : self.child(place, [keyword], role)
    }

    private mutating func children(_ reader: SchemaReader, _ place: Place, _ keyword: String, _ role: Role) -> [Int] {
        (reader.schema[keyword]?.array ?? []).indices.map { self.child(place, [keyword, String($0)], role) }
    }

    private mutating func list(_ reader: SchemaReader, _ place: Place) throws(DomainError) -> ListLimits? {
        guard reader.limits(.array) else { return nil }
        var limits = ListLimits()
        limits.minimum = try reader.count("minItems")
        limits.maximum = try reader.count("maxItems")
        limits.isUnique = try reader.flag("uniqueItems")
        limits.prefix = self.children(reader, place, "prefixItems", place.role)
        limits.items = self.child(reader, place, "items", place.role)
        limits.contains = self.child(reader, place, "contains", .asserting)
        limits.containsMinimum = try reader.count("minContains") ?? 1
        limits.containsMaximum = try reader.count("maxContains")
        return limits
    }

    private mutating func object(
        _ reader: SchemaReader, _ place: Place, _ index: Int, isClosed: Bool
    ) throws(DomainError) -> ObjectLimits? {
        guard isClosed || reader.limits(.object) else { return nil }
        var limits = ObjectLimits()
        let names = (reader.schema["properties"]?.members ?? []).map(\.name)
        for name in names {
            let property = ObjectLimits.Property(
                name: name, schema: self.child(place, ["properties", name], place.role))
            guard limits.properties.updateValue(property, forKey: name) == nil else {
                throw self.refuse(place.pointer, "'properties' has '\(Printable.text(name))' twice")
            }
        }
        for member in reader.schema["patternProperties"]?.members ?? [] {
            limits.patterns.append(
                (
                    pattern: try reader.pattern(member.name, of: "patternProperties"),
                    schema: self.child(place, ["patternProperties", member.name], place.role)
                ))
        }
        switch reader.schema["additionalProperties"] {
        case nil: limits.additional = isClosed ? .closed : .open
        case .bool(false)?: limits.additional = .closed
        case .some: limits.additional = .schema(self.child(place, ["additionalProperties"], place.role))
        }
        limits.names = self.child(reader, place, "propertyNames", .asserting)
        limits.minimum = try reader.count("minProperties")
        limits.maximum = try reader.count("maxProperties")
        limits.required = try reader.names(reader.schema["required"], of: "required")
        limits.dependentRequired = try reader.dependentNames()
        for name in (reader.schema["dependentSchemas"]?.members ?? []).map(\.name) {
            let schema = self.child(place, ["dependentSchemas", name], .asserting)
            limits.dependentSchemas.append((name: name, schema: schema))
            self.chains[index].append(schema)
        }
        limits.known = names.isEmpty ? "none" : Printable.text(names.sorted().joined(separator: ", "), limit: 200)
        if place.role == .owning { try reader.checkReachable(limits) }
        return limits
    }

    /// An owner that says neither type nor value hands its task on to the schemas that it refers to.
    private mutating func branches(
        _ reader: SchemaReader, _ place: Place, _ index: Int, mayDelegate: Bool
    ) throws(DomainError) -> SchemaBranches? {
        let role: Role = mayDelegate ? place.role : .asserting
        var branches = SchemaBranches()
        if let target = try reader.reference() {
            guard self.schemas[target] != nil else {
                throw self.refuse(place.pointer, "'$ref' leads to no schema: '#\(Printable.text(target))'")
            }
            branches.reference = self.index(Place(pointer: target, role: role))
        }
        branches.all = self.children(reader, place, "allOf", role)
        branches.any = self.children(reader, place, "anyOf", role)
        branches.one = self.children(reader, place, "oneOf", role)
        branches.negated = self.child(reader, place, "not", .asserting)
        if let condition = self.child(reader, place, "if", .asserting) {
            branches.condition = condition
            branches.consequence = self.child(reader, place, "then", .asserting)
            branches.alternative = self.child(reader, place, "else", .asserting)
        }
        let single = [
            branches.reference, branches.negated, branches.condition, branches.consequence, branches.alternative,
        ]
        let applied = single.compactMap { $0 } + branches.all + branches.any + branches.one
        self.chains[index] += applied
        return applied.isEmpty ? nil : branches
    }

    // MARK: Cycles

    /// Refuses a schema that would apply itself to the same value again, and chains that are too long: schemas are
    /// taken away from the ends of their chains, so that what remains is on a cycle or leads into one.
    private func checkChains() throws(DomainError) {
        var users: [[Int]] = Array(repeating: [], count: self.chains.count)
        for (user, used) in self.chains.enumerated() {
            for index in used { users[index].append(user) }
        }
        var open = self.chains.map(\.count)
        var lengths = Array(repeating: 0, count: self.chains.count)
        var ready = open.indices.filter { open[$0] == 0 }
        while let index = ready.popLast() {
            guard lengths[index] <= Self.chainLimit else {
                throw self.refuse(
                    self.places[index].pointer,
                    "more than \(Self.chainLimit) schemas apply to a value one inside the other")
            }
            for user in users[index] {
                lengths[user] = max(lengths[user], lengths[index] + 1)
                open[user] -= 1
                if open[user] == 0 { ready.append(user) }
            }
        }
        guard var index = open.indices.first(where: { open[$0] > 0 }) else { return }
        for _ in open.indices { index = self.chains[index].first { open[$0] > 0 } ?? index }
        throw self.refuse(self.places[index].pointer, "it refers back to itself without a member or an item between")
    }
}
