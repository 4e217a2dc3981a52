internal import Domain

/// Reads the members of one definition file: each is asked for by name and type, and one that nobody asked
/// for is an error, so that a misspelt limit is never silently no limit.
struct DefinitionReader {
    private let value: JSONValue
    let file: String
    private var known: Set<String> = []

    init(_ value: JSONValue, file: String) throws(PolicyError) {
        guard value.members != nil else { throw PolicyError.invalid(file, "expected a JSON object") }
        self.value = value
        self.file = file
    }

    func fail(_ problem: String) -> PolicyError { .invalid(self.file, problem) }

    mutating func string(_ name: String) throws(PolicyError) -> String {
        guard let text = try self.optionalString(name) else {
            throw self.fail("'\(name)' is missing: expected a string")
        }
        return text
    }

    mutating func optionalString(_ name: String) throws(PolicyError) -> String? {
        self.known.insert(name)
        guard let value = self.value[name] else { return nil }
        guard let text = value.string else { throw self.fail("'\(name)' must be a string") }
        return text
    }

    mutating func integer(_ name: String, in range: ClosedRange<Int>, default fallback: Int) throws(PolicyError) -> Int
    {
        self.known.insert(name)
        guard let value = self.value[name] else { return fallback }
        guard let number = value.integer, let number = Int(exactly: number), range.contains(number) else {
            throw self.fail("'\(name)' must be an integer from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    mutating func boolean(_ name: String, default fallback: Bool) throws(PolicyError) -> Bool {
        self.known.insert(name)
        guard let value = self.value[name] else { return fallback }
        guard let flag = value.bool else { throw self.fail("'\(name)' must be true or false") }
        return flag
    }

    mutating func optionalInteger(_ name: String, in range: ClosedRange<Int>) throws(PolicyError) -> Int? {
        guard self.value[name] != nil else {
            self.known.insert(name)
            return nil
        }
        return try self.integer(name, in: range, default: range.lowerBound)
    }

    mutating func optionalBool(_ name: String) throws(PolicyError) -> Bool? {
        self.known.insert(name)
        guard let value = self.value[name] else { return nil }
        guard let bool = value.bool else { throw self.fail("'\(name)' must be true or false") }
        return bool
    }

    mutating func strings(_ name: String, default fallback: [String]? = nil) throws(PolicyError) -> [String] {
        self.known.insert(name)
        guard let value = self.value[name] else {
            guard let fallback else { throw self.fail("'\(name)' is missing: expected a list of strings") }
            return fallback
        }
        guard let list = value.array else { throw self.fail("'\(name)' must be a list of strings") }
        var result: [String] = []
        for element in list {
            guard let text = element.string else { throw self.fail("'\(name)' must be a list of strings") }
            result.append(text)
        }
        return result
    }

    mutating func texts(_ name: String) throws(PolicyError) -> [String: String] {
        self.known.insert(name)
        guard let value = self.value[name] else { return [:] }
        guard let members = value.members else { throw self.fail("'\(name)' must be an object of strings") }
        var result: [String: String] = [:]
        for member in members {
            guard let text = member.value.string else { throw self.fail("'\(name).\(member.name)' must be a string") }
            result[member.name] = text
        }
        return result
    }

    mutating func list(_ name: String, default fallback: [JSONValue]? = nil) throws(PolicyError) -> [JSONValue] {
        self.known.insert(name)
        if self.value[name] == nil, let fallback { return fallback }
        guard let values = self.value[name]?.array else { throw self.fail("'\(name)' must be a list") }
        return values
    }

    mutating func optionalObject(_ name: String) throws(PolicyError) -> JSONValue? {
        self.known.insert(name)
        return self.value[name] == nil ? nil : try self.object(name)
    }

    mutating func object(_ name: String) throws(PolicyError) -> JSONValue {
        self.known.insert(name)
        guard let value = self.value[name], value.members != nil else {
            throw self.fail("'\(name)' is missing: expected an object")
        }
        return value
    }

    mutating func name() throws(PolicyError) -> DefinitionName {
        let text = try self.string("name")
        do throws(DomainError) { return try DefinitionName(text) } catch { throw self.fail(error.message) }
    }

    mutating func scopes(_ name: String, default fallback: [String]? = nil) throws(PolicyError) -> [Scope] {
        var scopes: [Scope] = []
        for text in try self.strings(name, default: fallback) { scopes.append(try self.scope(text)) }
        return scopes
    }

    mutating func operations(_ name: String) throws(PolicyError) -> [Operation: Scope] {
        var operations: [Operation: Scope] = [:]
        for (text, scope) in try self.texts(name) { operations[try self.operation(text)] = try self.scope(scope) }
        return operations
    }

    /// Reads `false`, or the oldest and the newest version that a definition was tried with.
    mutating func verification(_ name: String) throws(PolicyError) -> AgentVerification {
        self.known.insert(name)
        guard let value = self.value[name] else { return .unstated }
        if value == false { return .unverified }
        guard value.members != nil else {
            throw self.fail("'\(name)' must be false, or an object with 'from' and 'to'")
        }
        var range = try DefinitionReader(value, file: "\(self.file), \(name)")
        let (from, to) = (try range.string("from"), try range.string("to"))
        try range.finish()
        guard let oldest = ProgramVersion(from), let newest = ProgramVersion(to), oldest <= newest else {
            throw range.fail("'from' and 'to' must be versions such as 2.1.332, the older one first")
        }
        return .verified(oldest...newest)
    }

    func operation(_ text: String) throws(PolicyError) -> Operation {
        guard let operation = Operation(rawValue: text) else {
            let known = Operation.allCases.map(\.rawValue).joined(separator: ", ")
            throw self.fail("there is no operation '\(Printable.text(text))'; known are: \(known)")
        }
        return operation
    }

    private func scope(_ text: String) throws(PolicyError) -> Scope {
        guard let scope = Scope(rawValue: text) else {
            let known = Scope.allCases.map(\.rawValue).joined(separator: ", ")
            throw self.fail("there is no scope '\(Printable.text(text))'; known are: \(known)")
        }
        return scope
    }

    func finish() throws(PolicyError) {
        guard let unknown = self.value.members?.first(where: { !self.known.contains($0.name) }) else { return }
        throw self.fail(
            "'\(Printable.text(unknown.name))' is unknown here; known are: \(self.known.sorted().joined(separator: ", "))"
        )
    }
}
