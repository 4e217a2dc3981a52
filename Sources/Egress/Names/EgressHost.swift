/// A host of a request or a rule: a name or an address, never one that can be read as the other.
package enum EgressHost: Hashable, Sendable, CustomStringConvertible {
    case name(HostName)
    case address(EgressAddress)

    /// Reads a host without a port; an IPv6 address must be in brackets. A host whose last label is a number or starts with
    /// `0x` is an address, as resolvers read it, and only the canonical form of an address is accepted. Throws
    /// `invalid_host` otherwise.
    package init(_ bytes: ArraySlice<UInt8>) throws(EgressRefusal) {
        if bytes.first == UInt8(ascii: "[") {
            guard bytes.last == UInt8(ascii: "]"),
                let address = EgressAddress(version6: String(decoding: bytes.dropFirst().dropLast(), as: UTF8.self))
            else { throw EgressRefusal(.invalidHost, "the brackets do not hold an IPv6 address") }
            self = .address(address)
            return
        }
        let undotted = bytes.last == UInt8(ascii: ".") ? bytes.dropLast() : bytes
        let last = undotted.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false).last ?? []
        guard Self.isNumeric(last) else {
            self = .name(try HostName(bytes))
            return
        }
        guard let address = EgressAddress(version4: String(decoding: bytes, as: UTF8.self)) else {
            throw EgressRefusal(
                .invalidHost, "the host looks like an address: expected four decimal numbers without leading zeros")
        }
        self = .address(address)
    }

    private static func isNumeric(_ label: ArraySlice<UInt8>) -> Bool {
        guard !label.isEmpty else { return false }
        if label.allSatisfy(ASCII.isDigit) { return true }
        return ASCII.lowercased(label.prefix(2)) == "0x"
    }

    /// The name or the address; IPv6 addresses are in brackets.
    package var description: String {
        switch self {
        case .name(let name): name.text
        case .address(let address): address.isVersion6 ? "[\(address)]" : address.description
        }
    }
}
