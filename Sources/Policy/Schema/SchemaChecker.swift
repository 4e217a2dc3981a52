internal import Domain

/// Checks one value. Work and depth are bounded, as a schema whose branches refer to each other can ask for a number
/// of checks that is exponential in the value's depth; the sender of the value chooses that depth.
struct SchemaChecker {
    /// In states of a pattern, the smallest step.
    static let stepLimit = 10_000_000
    private static let nodeSteps = 8
    /// More than `JSONParser` lets a document ask for: its 33 levels, with a chain of schemas at each.
    static let depthLimit = 320

    private let nodes: [SchemaNode]
    private var remaining = SchemaChecker.stepLimit
    private var depth = 0
    /// Above 0 where only the verdict counts, and no message need be made.
    private var quiet = 0
    private(set) var isExhausted = false

    init(nodes: [SchemaNode]) { self.nodes = nodes }

    mutating func problem(_ index: Int, _ value: JSONValue) -> SchemaProblem? {
        guard self.depth < Self.depthLimit, self.spend(Self.nodeSteps) else {
            self.isExhausted = true
            return SchemaProblem("takes too long to check")
        }
        self.depth += 1
        defer { self.depth -= 1 }
        let node = self.nodes[index]
        if let verdict = node.verdict { return verdict ? nil : self.fail("must not be there") }
        if let types = node.types, types.kinds.isDisjoint(with: SchemaKinds(of: value)) {
            return self.fail("must be of type \(types.text), not \(value.typeName)")
        }
        if let choices = node.choices, let problem = self.choiceProblem(choices, value) { return problem }
        if let problem = self.limitProblem(node, value) { return problem }
        guard let branches = node.branches else { return nil }
        return self.branchProblem(branches, value)
    }

    private mutating func spend(_ steps: Int) -> Bool {
        self.remaining -= steps
        if self.remaining < 0 { self.isExhausted = true }
        return !self.isExhausted
    }

    private func fail(_ expectation: @autoclosure () -> String) -> SchemaProblem {
        SchemaProblem(self.quiet > 0 ? "" : expectation())
    }

    private mutating func fits(_ index: Int, _ value: JSONValue) -> Bool {
        self.quiet += 1
        defer { self.quiet -= 1 }
        return self.problem(index, value) == nil
    }

    private mutating func choiceProblem(_ choices: SchemaChoices, _ value: JSONValue) -> SchemaProblem? {
        let text = CanonicalJSON.bytes(of: value)
        _ = self.spend(text.count)
        return choices.texts.contains(text) ? nil : self.fail(choices.expectation)
    }

    private mutating func limitProblem(_ node: SchemaNode, _ value: JSONValue) -> SchemaProblem? {
        switch value {
        case .null, .bool: return nil
        case .integer, .number:
            guard let number = ExactNumber(value) else { return self.fail("must be a finite number") }
            return node.number.flatMap { self.numberProblem($0, number) }
        case .string(let text):
            guard let limits = node.text else { return nil }
            return self.textProblem(limits, text)
        case .array(let elements):
            guard let limits = node.list else { return nil }
            return self.listProblem(limits, elements)
        case .object(let members):
            guard let limits = node.object else { return nil }
            return self.objectProblem(limits, members, value)
        }
    }

    private func numberProblem(_ limits: NumberLimits, _ number: ExactNumber) -> SchemaProblem? {
        if let minimum = limits.minimum, number < minimum { return self.fail("must be at least \(minimum.text)") }
        if let maximum = limits.maximum, maximum < number { return self.fail("must be at most \(maximum.text)") }
        if let bound = limits.exclusiveMinimum, !(bound < number) {
            return self.fail("must be more than \(bound.text)")
        }
        if let bound = limits.exclusiveMaximum, !(number < bound) {
            return self.fail("must be less than \(bound.text)")
        }
        if let divisor = limits.divisor, !number.isMultiple(of: divisor) {
            return self.fail("must be a multiple of \(divisor.text)")
        }
        return nil
    }

    private mutating func textProblem(_ limits: TextLimits, _ text: String) -> SchemaProblem? {
        // A scalar is one to four bytes of UTF-8, so most texts need no counting.
        let size = text.utf8.count
        if size > limits.maximum ?? .max || size / 4 < limits.minimum ?? 0 {
            let length = text.unicodeScalars.count
            if let minimum = limits.minimum, length < minimum {
                return self.fail("must have at least \(minimum) characters")
            }
            if let maximum = limits.maximum, length > maximum {
                return self.fail("must have at most \(maximum) characters")
            }
        }
        if let format = limits.format, !format.admits(text) {
            return self.fail("must have the format '\(format.rawValue)'")
        }
        guard let pattern = limits.pattern, !self.matches(pattern, text) else { return nil }
        return self.fail("must match the pattern '\(Printable.text(pattern.text))'")
    }

    private mutating func matches(_ pattern: SchemaPattern, _ text: String) -> Bool {
        let isMatch = pattern.matches(text, budget: &self.remaining)
        return self.spend(1) && isMatch
    }

    private mutating func listProblem(_ limits: ListLimits, _ elements: [JSONValue]) -> SchemaProblem? {
        if let minimum = limits.minimum, elements.count < minimum {
            return self.fail("must have at least \(minimum) items")
        }
        if let maximum = limits.maximum, elements.count > maximum {
            return self.fail("must have at most \(maximum) items")
        }
        for (index, element) in elements.enumerated() {
            let schema = index < limits.prefix.count ? limits.prefix[index] : limits.items
            guard let schema else { break }
            if let problem = self.problem(schema, element) { return self.inside(problem, "[\(index)]") }
        }
        if limits.isUnique, let problem = self.uniqueProblem(elements) { return problem }
        guard let contains = limits.contains else { return nil }
        var count = 0
        for element in elements where self.fits(contains, element) { count += 1 }
        if count < limits.containsMinimum {
            return self.fail("must have at least \(limits.containsMinimum) items that fit 'contains', not \(count)")
        }
        if let maximum = limits.containsMaximum, count > maximum {
            return self.fail("must have at most \(maximum) items that fit 'contains', not \(count)")
        }
        return nil
    }

    private mutating func uniqueProblem(_ elements: [JSONValue]) -> SchemaProblem? {
        var first: [[UInt8]: Int] = [:]
        for (index, element) in elements.enumerated() {
            let text = CanonicalJSON.bytes(of: element)
            guard self.spend(text.count) else { return SchemaProblem("") }
            if let other = first.updateValue(index, forKey: text) {
                return self.fail("must not have the same item twice, as [\(other)] and [\(index)] are")
            }
        }
        return nil
    }

    private mutating func objectProblem(
        _ limits: ObjectLimits, _ members: [JSONMember], _ value: JSONValue
    ) -> SchemaProblem? {
        guard self.spend(members.count) else { return SchemaProblem("") }
        if let minimum = limits.minimum, members.count < minimum {
            return self.fail("must have at least \(minimum) members")
        }
        if let maximum = limits.maximum, members.count > maximum {
            return self.fail("must have at most \(maximum) members")
        }
        for name in limits.required where !Self.has(name, members) {
            return self.fail("must have '\(Printable.text(name))'")
        }
        for (name, needed) in limits.dependentRequired where Self.has(name, members) {
            for other in needed where !Self.has(other, members) {
                return self.fail("must have '\(Printable.text(other))', as it has '\(Printable.text(name))'")
            }
        }
        for member in members {
            if let problem = self.memberProblem(limits, member) { return problem }
        }
        for (name, schema) in limits.dependentSchemas where Self.has(name, members) {
            if let problem = self.problem(schema, value) { return problem }
        }
        return nil
    }

    private static func has(_ name: String, _ members: [JSONMember]) -> Bool {
        members.contains { $0.name.isExactly(name) }
    }

    private mutating func memberProblem(_ limits: ObjectLimits, _ member: JSONMember) -> SchemaProblem? {
        if let names = limits.names, let problem = self.problem(names, .string(member.name)) {
            return self.fail("must not have '\(Printable.text(member.name))': the name \(problem.expectation)")
        }
        var isDeclared = false
        if let property = limits.properties[member.name], property.name.isExactly(member.name) {
            isDeclared = true
            if let problem = self.problem(property.schema, member.value) {
                return self.inside(problem, ".\(Printable.text(member.name))")
            }
        }
        for (pattern, schema) in limits.patterns where self.matches(pattern, member.name) {
            isDeclared = true
            if let problem = self.problem(schema, member.value) {
                return self.inside(problem, ".\(Printable.text(member.name))")
            }
        }
        guard !isDeclared else { return nil }
        switch limits.additional {
        case .open: return nil
        case .closed: return self.fail("must not have '\(Printable.text(member.name))'; known are: \(limits.known)")
        case .schema(let schema):
            return self.problem(schema, member.value).map { self.inside($0, ".\(Printable.text(member.name))") }
        }
    }

    private func inside(_ problem: SchemaProblem, _ step: @autoclosure () -> String) -> SchemaProblem {
        self.quiet > 0 ? problem : problem.inside(step())
    }

    private mutating func branchProblem(_ branches: SchemaBranches, _ value: JSONValue) -> SchemaProblem? {
        if let reference = branches.reference, let problem = self.problem(reference, value) { return problem }
        for schema in branches.all {
            if let problem = self.problem(schema, value) { return problem }
        }
        if !branches.any.isEmpty, let problem = self.anyProblem(branches.any, value) { return problem }
        if !branches.one.isEmpty, let problem = self.oneProblem(branches.one, value) { return problem }
        if let negated = branches.negated, self.fits(negated, value) {
            return self.fail("must not fit the schema of 'not'")
        }
        guard let condition = branches.condition else { return nil }
        let next = self.fits(condition, value) ? branches.consequence : branches.alternative
        guard let next else { return nil }
        return self.problem(next, value)
    }

    private mutating func anyProblem(_ schemas: [Int], _ value: JSONValue) -> SchemaProblem? {
        for schema in schemas where self.fits(schema, value) { return nil }
        return self.noneProblem("anyOf", schemas, value)
    }

    private mutating func oneProblem(_ schemas: [Int], _ value: JSONValue) -> SchemaProblem? {
        var match: Int?
        for (index, schema) in schemas.enumerated() where self.fits(schema, value) {
            if let match {
                return self.fail("must fit only one of the schemas of 'oneOf', but fits \(match + 1) and \(index + 1)")
            }
            match = index
        }
        return match == nil ? self.noneProblem("oneOf", schemas, value) : nil
    }

    /// The first schema is asked a second time for its reason, so that not every branch of a branch writes one.
    private mutating func noneProblem(_ keyword: String, _ schemas: [Int], _ value: JSONValue) -> SchemaProblem {
        guard self.quiet == 0, let first = schemas.first, let problem = self.problem(first, value) else {
            return SchemaProblem("")
        }
        let reason = Printable.text(problem.text(at: "it"), limit: 200)
        return SchemaProblem("must fit one of the \(schemas.count) schemas of '\(keyword)'; by the first, \(reason)")
    }
}
