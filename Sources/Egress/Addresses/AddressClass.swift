/// What an address is reserved for. Only `global` is reachable without a permission, and only `private` with one.
package enum AddressClass: String, Hashable, Sendable, CaseIterable {
    /// A unicast address of the Internet; also the ranges for documentation, which lead nowhere.
    case global
    /// RFC 1918, the shared range of carriers (RFC 6598), and unique local IPv6 addresses.
    case `private`
    case loopback
    /// `0.0.0.0/8` and `::`: the host itself.
    case unspecified
    case linkLocal = "link-local"
    case multicast
    /// The metadata services of clouds, which hand out credentials.
    case metadata
    /// An IPv6 address with an IPv4 address inside, through which the other may be reached.
    case embedded
    /// Everything else that is not assigned to hosts of the Internet.
    case reserved

    /// The class of an address.
    package init(_ address: EgressAddress) {
        if let first = Self.table.first(where: { $0.range.contains(address) }) {
            self = first.addressClass
        } else if address.isVersion6 {
            self = Self.version6(address)
        } else {
            self = .global
        }
    }

    private static func version6(_ address: EgressAddress) -> AddressClass {
        // 64:ff9b::/96 (RFC 6052) is how hosts with IPv6 only reach the IPv4 Internet: its class is that of the address inside.
        if address.value >> 32 == 0x0064_ff9b << 64 {
            let inner = AddressClass(EgressAddress(version4Bits: UInt32(truncatingIfNeeded: address.value)))
            return inner == .global ? .global : .embedded
        }
        // The identifier of ISATAP (RFC 5214) hides an IPv4 address in the last 32 bits of any prefix.
        let identifier = UInt32(truncatingIfNeeded: address.value >> 32)
        if identifier == 0x0000_5efe || identifier == 0x0200_5efe { return .embedded }
        return address.value >> 125 == 0b001 ? .global : .reserved
    }

    /// First match wins, so metadata services come before the ranges that contain them.
    private static let table: [(range: AddressRange, addressClass: AddressClass)] = [
        ("169.254.169.254/32", .metadata), ("169.254.170.2/32", .metadata), ("100.100.100.200/32", .metadata),
        ("168.63.129.16/32", .metadata), ("192.0.0.192/32", .metadata), ("fd00:ec2::/32", .metadata),
        ("fd20:ce::254/128", .metadata), ("fd00:c1::a9fe:a9fe/128", .metadata), ("fd00:42::42/128", .metadata),
        ("0.0.0.0/8", .unspecified), ("127.0.0.0/8", .loopback), ("169.254.0.0/16", .linkLocal),
        ("10.0.0.0/8", .private), ("172.16.0.0/12", .private), ("192.168.0.0/16", .private),
        ("100.64.0.0/10", .private), ("192.0.0.0/24", .reserved), ("192.88.99.0/24", .reserved),
        ("198.18.0.0/15", .reserved), ("224.0.0.0/4", .multicast), ("240.0.0.0/4", .reserved),
        ("::/128", .unspecified), ("::1/128", .loopback), ("::/96", .embedded), ("::ffff:0:0:0/96", .embedded),
        ("64:ff9b:1::/48", .embedded), ("2001::/32", .embedded), ("2002::/16", .embedded), ("2001::/23", .reserved),
        ("fe80::/10", .linkLocal), ("fec0::/10", .linkLocal), ("fc00::/7", .private), ("ff00::/8", .multicast),
    ].compactMap { (entry: (String, AddressClass)) in
        AddressRange(entry.0).map { (range: $0, addressClass: entry.1) }
    }
}
