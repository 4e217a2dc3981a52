internal import Domain

/// Reads the keywords of one schema that hold plain values; each error names the schema's place.
struct SchemaReader {
    let schema: JSONValue
    let pointer: String
    /// What the whole schema is called.
    let path: String

    func refuse(_ problem: String) -> DomainError {
        .invalidValue("the schema at \(self.path)\(Printable.text(self.pointer, limit: 200)) is refused: \(problem)")
    }

    /// Whether some keyword limits values of the type.
    func limits(_ kind: SchemaKinds) -> Bool {
        (self.schema.members ?? []).contains { SchemaKeyword.kinds(of: $0.name) == kind }
    }

    var declaresMembers: Bool { self.schema["properties"] != nil || self.schema["patternProperties"] != nil }

    func types() throws(DomainError) -> SchemaTypes? {
        guard let value = self.schema["type"] else { return nil }
        let names = if let name = value.string { [name] } else { try self.names(value, of: "type") }
        var kinds: SchemaKinds = []
        for name in names {
            guard let kind = SchemaKinds.named[name] else {
                throw self.refuse("'\(Printable.text(name))' is no type: expected a type's name or a list of them")
            }
            kinds.insert(kind)
        }
        guard !kinds.isEmpty else { throw self.refuse("'type' must be a type's name or a list of them") }
        // What is an integer is a number as well.
        if kinds.contains(.number) { kinds.insert(.integer) }
        return SchemaTypes(kinds: kinds, text: names.joined(separator: " or "))
    }

    func choices() throws(DomainError) -> SchemaChoices? {
        var values: [JSONValue]?
        if let list = self.schema["enum"] {
            guard let list = list.array, !list.isEmpty else { throw self.refuse("'enum' must be a list of values") }
            values = list
        }
        if let const = self.schema["const"] {
            let text = CanonicalJSON.bytes(of: const)
            // With both, a value must equal the one and be among the others.
            values = values?.filter { CanonicalJSON.bytes(of: $0) == text } ?? [const]
        }
        guard let values else { return nil }
        guard let first = values.first else { throw self.refuse("'const' is none of the values of 'enum'") }
        let expectation =
            values.count == 1
            ? "must be \(Printable.text(first.text))"
            : "must be one of \(Printable.text(values.map(\.text).joined(separator: ", "), limit: 200))"
        return SchemaChoices(
            texts: Set(values.map { CanonicalJSON.bytes(of: $0) }), areStrings: values.allSatisfy { $0.string != nil },
            expectation: expectation)
    }

    func checkAnnotations() throws(DomainError) {
        for member in self.schema.members ?? [] {
            if let problem = SchemaKeyword.problem(annotation: member.name, member.value) {
                throw self.refuse(problem)
            }
        }
    }

    func numberLimits() throws(DomainError) -> NumberLimits? {
        guard self.limits([.integer, .number]) else { return nil }
        var limits = NumberLimits()
        limits.minimum = try self.number("minimum")
        limits.maximum = try self.number("maximum")
        limits.exclusiveMinimum = try self.number("exclusiveMinimum")
        limits.exclusiveMaximum = try self.number("exclusiveMaximum")
        limits.divisor = try self.number("multipleOf")
        if let divisor = limits.divisor, !divisor.isPositive { throw self.refuse("'multipleOf' must be above 0") }
        return limits
    }

    func textLimits() throws(DomainError) -> TextLimits? {
        guard self.limits(.string) else { return nil }
        var limits = TextLimits()
        limits.minimum = try self.count("minLength")
        limits.maximum = try self.count("maxLength")
        if let value = self.schema["pattern"] {
            guard let text = value.string else { throw self.refuse("'pattern' must be a string") }
            limits.pattern = try self.pattern(text, of: "pattern")
        }
        if let value = self.schema["format"] {
            guard let format = value.string.flatMap({ SchemaFormat(rawValue: $0) }) else {
                let known = SchemaFormat.allCases.map(\.rawValue).joined(separator: ", ")
                throw self.refuse("'format' must be one of \(known)")
            }
            limits.format = format
        }
        return limits
    }

    func pattern(_ text: String, of keyword: String) throws(DomainError) -> SchemaPattern {
        do throws(DomainError) {
            return try SchemaPattern(text)
        } catch {
            throw self.refuse("'\(keyword)' holds '\(Printable.text(text))': \(error.message)")
        }
    }

    func reference() throws(DomainError) -> String? {
        guard let value = self.schema["$ref"] else { return nil }
        guard let text = value.string, let pointer = SchemaPointer.pointer(ofReference: text) else {
            throw self.refuse("'$ref' must be '#' or begin with '#/': other documents and anchors are not supported")
        }
        return pointer
    }

    func count(_ keyword: String) throws(DomainError) -> Int? {
        guard let value = self.schema[keyword] else { return nil }
        let count: Int? =
            switch value {
            case .integer(let number): Int(exactly: number)
            case .number(let number): Int(exactly: number)
            default: nil
            }
        guard let count, count >= 0 else { throw self.refuse("'\(keyword)' must be an integer from 0") }
        return count
    }

    func flag(_ keyword: String) throws(DomainError) -> Bool {
        guard let value = self.schema[keyword] else { return false }
        guard let flag = value.bool else { throw self.refuse("'\(keyword)' must be true or false") }
        return flag
    }

    private func number(_ keyword: String) throws(DomainError) -> ExactNumber? {
        guard let value = self.schema[keyword] else { return nil }
        guard let number = ExactNumber(value) else { throw self.refuse("'\(keyword)' must be a number") }
        return number
    }

    /// A list of different strings, empty when there is none.
    func names(_ value: JSONValue?, of keyword: String) throws(DomainError) -> [String] {
        guard let value else { return [] }
        guard let list = value.array else { throw self.refuse("'\(keyword)' must be a list of strings") }
        var names: [String] = []
        for element in list {
            guard let name = element.string, !names.contains(name) else {
                throw self.refuse("'\(keyword)' must be a list of different strings")
            }
            names.append(name)
        }
        return names
    }

    func dependentNames() throws(DomainError) -> [(name: String, needed: [String])] {
        guard let value = self.schema["dependentRequired"] else { return [] }
        guard let members = value.members else { throw self.refuse("'dependentRequired' must be an object of lists") }
        var result: [(name: String, needed: [String])] = []
        for member in members {
            result.append((name: member.name, needed: try self.names(member.value, of: "dependentRequired")))
        }
        return result
    }

    // MARK: What a closed schema must say

    /// A keyword in the wrong place limits nothing, which in a policy is a mistake.
    func checkEffect(_ types: SchemaTypes?) throws(DomainError) {
        for member in self.schema.members ?? [] {
            if let companion = SchemaKeyword.companions[member.name], self.schema[companion] == nil {
                throw self.refuse("'\(member.name)' has no effect without '\(companion)'")
            }
            guard let types, let kinds = SchemaKeyword.kinds(of: member.name) else { continue }
            if kinds.isDisjoint(with: types.kinds) {
                throw self.refuse("the keyword '\(member.name)' has no effect on the type \(types.text)")
            }
        }
    }

    /// The schema that owns a value must say what it may hold, down to the items of its lists.
    func checkOwner(_ types: SchemaTypes?, _ choices: SchemaChoices?) throws(DomainError) {
        guard choices == nil else { return }
        let delegates = SchemaKeyword.delegating.contains { self.schema[$0] != nil }
        guard let types else {
            guard delegates else {
                throw self.refuse("it admits anything: expected 'type', 'enum', 'const', '$ref', 'anyOf' or 'oneOf'")
            }
            return
        }
        if types.kinds.contains(.array), self.schema["items"] == nil {
            throw self.refuse("an array must say what it holds: expected 'items' (false when 'prefixItems' says all)")
        }
        let isUndeclared = !self.declaresMembers && self.schema["additionalProperties"] == nil
        if types.kinds.contains(.object), delegates, isUndeclared {
            throw self.refuse("an object is closed: expected its members in 'properties' next to 'type'")
        }
    }

    /// In a closed object, a required member that is not declared could never be there.
    func checkReachable(_ limits: ObjectLimits) throws(DomainError) {
        guard case .closed = limits.additional else { return }
        for name in limits.required {
            var budget = SchemaChecker.stepLimit
            let isDeclared =
                limits.properties[name]?.name.isExactly(name) == true
                || limits.patterns.contains { $0.pattern.matches(name, budget: &budget) }
            guard isDeclared else {
                throw self.refuse("'required' names a property that is not declared: '\(Printable.text(name))'")
            }
        }
    }
}
