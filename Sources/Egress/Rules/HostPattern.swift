/// The host of an entry: a name, an address, or a name with a leading wildcard label.
package enum HostPattern: Hashable, Sendable, CustomStringConvertible {
    case exact(EgressHost)
    /// `*.example.com`: every name with at least one more label. Never `example.com` itself.
    case wildcard(below: HostName)

    /// Throws a sentence of what was expected as the detail of an `EgressRefusal` of the reason `invalid_host`.
    init(_ text: String, suffixes: PublicSuffixes) throws(EgressRefusal) {
        let bytes = Array(text.utf8)
        guard bytes.last != UInt8(ascii: ".") else { throw Self.fail("a name in a rule has no trailing dot") }
        guard bytes.allSatisfy({ ASCII.lowercased($0) == $0 }) else {
            throw Self.fail("a name in a rule is in lower case, and internationalized labels are A-labels")
        }
        guard let star = bytes.firstIndex(of: UInt8(ascii: "*")) else {
            // An address may be written without brackets.
            if let address = EgressAddress(version6: text) {
                self = .exact(.address(address))
            } else {
                self = .exact(try EgressHost(bytes[...]))
            }
            return
        }
        guard star == 0, bytes.count > 2, bytes[1] == UInt8(ascii: ".") else {
            throw Self.fail("a wildcard is only the whole first label, as in *.example.com")
        }
        guard case .name(let name) = try EgressHost(bytes[2...]) else {
            throw Self.fail("a wildcard cannot be combined with an address")
        }
        guard !suffixes.contains(name) else {
            throw Self.fail("'\(name)' is a public suffix: a wildcard there would allow everybody's hosts")
        }
        self = .wildcard(below: name)
    }

    private static func fail(_ problem: String) -> EgressRefusal { EgressRefusal(.invalidHost, problem) }

    /// Whether the pattern names exactly one host.
    package var isExact: Bool {
        if case .exact = self { true } else { false }
    }

    package var description: String {
        switch self {
        case .exact(let host): host.description
        case .wildcard(let name): "*.\(name)"
        }
    }
}
