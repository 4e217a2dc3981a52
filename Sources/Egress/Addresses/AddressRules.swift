/// Decides whether an address may be dialed. Loopback, link-local, multicast, metadata, embedded and reserved addresses
/// and those of this host are never allowed, whatever an entry lists.
package struct AddressRules: Hashable, Sendable {
    /// The addresses of all interfaces of this host.
    package let own: Set<EgressAddress>
    /// Ranges that the operator's configuration excludes, such as those of Redis and the metrics.
    package let denied: [AddressRange]

    /// Takes the addresses of this host and the excluded ranges.
    package init(own: Set<EgressAddress> = [], denied: [AddressRange] = []) {
        self.own = own
        self.denied = denied
    }

    /// Nil when the address may be dialed; otherwise a sentence that says why not.
    package func problem(with address: EgressAddress, allowing ranges: [AddressRange] = []) -> String? {
        if self.own.contains(address) { return "\(address) is an address of this host" }
        if self.denied.contains(where: { $0.contains(address) }) {
            return "\(address) is in a range that the operator excludes"
        }
        let addressClass = AddressClass(address)
        switch addressClass {
        case .global: return nil
        case .private where ranges.contains(where: { $0.contains(address) }): return nil
        case .private: return "\(address) is a private address that the entry does not list in 'allow_private'"
        default: return "\(address) is a \(addressClass.rawValue) address"
        }
    }

    /// The first problem of a whole answer of the resolver. One bad address spoils the answer: a name that mixes public and
    /// local addresses is an attack or a mistake.
    package func problem(withAll addresses: [EgressAddress], allowing ranges: [AddressRange]) -> String? {
        for address in addresses {
            if let problem = self.problem(with: address, allowing: ranges) { return problem }
        }
        return nil
    }
}
