package import Domain
internal import Egress

/// Plays the cases of `orchestra-conformance egress`: each is one connection of a proxy listener, with a resolver that
/// answers from a table and a dialer that always connects. It has no expectation.
package struct EgressScenario: Sendable {
    /// One case: the segments as they arrive from the caller.
    private struct Case: Sendable {
        let id: JSONValue
        let segments: [[UInt8]]
    }

    private let configuration: TunnelConfiguration
    private let names: [String: EgressResolution]
    private let cases: [Case]

    /// Reads the input. Throws `EgressError` for entries that do not load and `DomainError` for a malformed input.
    package init(_ input: JSONValue) throws {
        guard let entries = input["entries"]?.array, let cases = input["cases"]?.array else {
            throw DomainError.invalidValue("expected {\"entries\":[…],\"cases\":[…]}")
        }
        var own: Set<EgressAddress> = []
        for value in input["own_addresses"]?.array ?? [] { own.insert(try Self.address(value)) }
        self.configuration = TunnelConfiguration(
            rules: try EgressRules(parsing: entries, file: "<input>"), addresses: AddressRules(own: own))
        var names: [String: EgressResolution] = [:]
        for member in input["resolver"]?.members ?? [] {
            names[Self.key(member.name)] = .addresses(try (member.value.array ?? []).map(Self.address))
        }
        self.names = names
        self.cases = try cases.map { value in
            guard let id = value["id"], let segments = value["bytes_hex"]?.array else {
                throw DomainError.invalidValue("expected {\"id\",\"bytes_hex\":[…]} in each case")
            }
            let decoded = try segments.map { segment in
                guard let bytes = segment.string.flatMap(Hexadecimal.bytes) else {
                    throw DomainError.invalidValue("expected hexadecimal digits in 'bytes_hex' of \(id.text)")
                }
                return bytes
            }
            return Case(id: id, segments: decoded)
        }
    }

    /// Plays all cases and returns a line for each, in their order.
    package func play() -> [JSONValue] { self.cases.map { self.play($0) } }

    private func play(_ played: Case) -> JSONValue {
        var connection = EgressConnection(self.configuration, names: self.names)
        for segment in played.segments { connection.received(segment) }
        connection.receivedEndOfInput()
        let event = connection.decision
        let reason = event?.reason ?? (event == nil ? .incompleteRequest : nil)
        return [
            "id": played.id, "verdict": reason == nil ? "allow" : "refuse",
            "status": connection.status.map { .integer(Int64($0)) } ?? .null,
            "reason": reason.map { .string($0.rawValue) } ?? .null,
            "entry": event?.entry.map { .string($0.text) } ?? .null,
            "resolved": .array(connection.resolved.map(JSONValue.string)),
            "dialled": connection.dialed.map(JSONValue.string) ?? .null,
            "forwarded_hex": .string(Hexadecimal.text(of: connection.forwarded)),
        ]
    }

    private static func address(_ value: JSONValue) throws(DomainError) -> EgressAddress {
        guard let address = value.string.flatMap({ EgressAddress($0) }) else {
            throw .invalidValue("\(Printable.text(value.text)) is not an IP address")
        }
        return address
    }

    /// A name as the resolver's table holds it: in lower case, without a trailing dot.
    private static func key(_ name: String) -> String {
        let name = name.lowercased()
        return name.hasSuffix(".") ? String(name.dropLast()) : name
    }
}
