internal import Domain

/// Reads the members of a JSON object, each by name and type. Every read throws a `Problem` for a member of another type.
struct BodyReader {
    private let document: JSONDocument
    private var value: JSONValue { self.document.value }
    private var known: Set<String> = []

    init(_ document: JSONDocument) { self.document = document }

    /// The member of any type; nil when it is absent.
    mutating func member(_ name: String) -> JSONValue? {
        self.known.insert(name)
        return self.value[name]
    }

    /// A text that must be there.
    mutating func text(_ name: String) throws -> String {
        guard let text = try self.optionalText(name) else {
            throw Problem(.invalid, "'\(name)' is missing: expected a string")
        }
        return text
    }

    /// A text; nil when it is absent.
    mutating func optionalText(_ name: String) throws -> String? {
        guard let value = self.member(name) else { return nil }
        guard let text = value.string else { throw Problem(.invalid, "'\(name)' must be a string") }
        return text
    }

    /// An integer, also one written as 5.0; nil when it is absent.
    mutating func optionalInteger(_ name: String) throws -> Int64? {
        guard let value = self.member(name) else { return nil }
        guard let number = value.wholeNumber else { throw Problem(.invalid, "'\(name)' must be an integer") }
        return number
    }

    /// An object as the client wrote it.
    mutating func object(_ name: String) throws -> [UInt8] {
        guard let value = self.member(name), value.members != nil, let bytes = self.document.bytes(of: name) else {
            throw Problem(.invalid, "'\(name)' must be an object")
        }
        return bytes
    }

    /// A list's elements as the client wrote them.
    mutating func list(_ name: String) throws -> [JSONDocument]? {
        guard let value = self.member(name) else { return nil }
        guard value.array != nil, let bytes = self.document.bytes(of: name) else {
            throw Problem(.invalid, "'\(name)' must be a list")
        }
        return try JSONParser.document(bytes).elements.map { try JSONParser.document($0) }
    }

    /// Throws a `Problem` when there is a member that was not read.
    func finish() throws {
        guard let unknown = self.value.members?.first(where: { !self.known.contains($0.name) }) else { return }
        throw Problem(
            .invalid,
            "'\(Printable.text(unknown.name, limit: 40))' is unknown; expected one of: \(self.known.sorted().joined(separator: ", "))"
        )
    }
}
