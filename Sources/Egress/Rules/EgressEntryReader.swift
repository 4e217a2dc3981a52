internal import Domain

/// Reads the fields of one entry. Each is requested by name and type; a field that was not requested is an error, so that a
/// misspelled limit is never silently no limit. A field that is `null` counts as absent.
struct EgressEntryReader {
    private let value: JSONValue
    private let place: String
    private var known: Set<String> = []

    init(_ value: JSONValue, place: String) throws(EgressError) {
        guard value.members != nil else { throw EgressError.invalid(place, "expected a JSON object") }
        self.value = value
        self.place = place
    }

    func fail(_ problem: String) -> EgressError { .invalid(self.place, problem) }

    private mutating func field(_ name: String) -> JSONValue? {
        self.known.insert(name)
        guard let value = self.value[name], value != .null else { return nil }
        return value
    }

    mutating func string(_ name: String) throws(EgressError) -> String? {
        guard let value = self.field(name) else { return nil }
        guard let text = value.string else { throw self.fail("'\(name)' must be a string") }
        return text
    }

    mutating func boolean(_ name: String) throws(EgressError) -> Bool {
        guard let value = self.field(name) else { return false }
        guard let flag = value.bool else { throw self.fail("'\(name)' must be true or false") }
        return flag
    }

    mutating func integer(_ name: String) throws(EgressError) -> Int? {
        guard let value = self.field(name) else { return nil }
        guard let number = value.integer, let number = Int(exactly: number), number > 0 else {
            throw self.fail("'\(name)' must be a positive integer")
        }
        return number
    }

    mutating func list(_ name: String, of expected: String) throws(EgressError) -> [JSONValue]? {
        guard let value = self.field(name) else { return nil }
        guard let list = value.array else { throw self.fail("'\(name)' must be a list of \(expected)") }
        guard list.count <= 256 else { throw self.fail("'\(name)' has \(list.count) elements: expected at most 256") }
        return list
    }

    /// Converts each element; nil if the field is absent. An empty list allows nothing and is refused.
    mutating func elements<Element>(
        _ name: String, of expected: String, _ convert: (JSONValue) -> Element?
    ) throws(EgressError) -> [Element]? {
        guard let list = try self.list(name, of: expected) else { return nil }
        guard !list.isEmpty else { throw self.fail("'\(name)' is empty: leave it out, or list \(expected)") }
        var result: [Element] = []
        for element in list {
            guard let converted = convert(element) else {
                throw self.fail("'\(name)' has \(Printable.text(element.text)): expected \(expected)")
            }
            result.append(converted)
        }
        return result
    }

    mutating func choice<Choice>(_ name: String, _ type: Choice.Type) throws(EgressError) -> Choice?
    where Choice: RawRepresentable<String> & CaseIterable {
        guard let text = try self.string(name) else { return nil }
        guard let choice = Choice(rawValue: text) else {
            let known = Choice.allCases.map(\.rawValue).joined(separator: ", ")
            throw self.fail("'\(name)' is '\(Printable.text(text))': expected one of \(known)")
        }
        return choice
    }

    mutating func object(_ name: String) throws(EgressError) -> EgressEntryReader? {
        guard let value = self.field(name) else { return nil }
        guard value.members != nil else { throw self.fail("'\(name)' must be an object") }
        return try EgressEntryReader(value, place: "\(self.place), field '\(name)'")
    }

    func finish() throws(EgressError) {
        guard let unknown = self.value.members?.first(where: { !self.known.contains($0.name) }) else { return }
        let known = self.known.sorted().joined(separator: ", ")
        throw self.fail("'\(Printable.text(unknown.name))' is unknown here; known are: \(known)")
    }
}
