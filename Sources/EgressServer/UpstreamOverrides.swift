internal import Egress

/// Replaces the answers of the resolver and the targets of dials for some names. Each name gets an address of a range for
/// documentation, so that all checks are made as for a host of the Internet.
struct UpstreamOverrides: Sendable {
    private let addresses: [HostName: EgressAddress]
    private let upstreams: [EgressAddress: EgressServerConfiguration.Upstream]

    /// 203.0.113.0/24 (RFC 5737).
    private static let range: UInt32 = 0xcb00_7100

    /// Names past the 254th are not replaced.
    init(_ overrides: [HostName: EgressServerConfiguration.Upstream]) {
        var addresses: [HostName: EgressAddress] = [:]
        var upstreams: [EgressAddress: EgressServerConfiguration.Upstream] = [:]
        for (number, override) in overrides.sorted(by: { $0.key.text < $1.key.text }).prefix(254).enumerated() {
            let address = EgressAddress(version4Bits: Self.range + UInt32(number) + 1)
            addresses[override.key] = address
            upstreams[address] = override.value
        }
        self.addresses = addresses
        self.upstreams = upstreams
    }

    func address(of name: HostName) -> EgressAddress? { self.addresses[name] }

    /// Where a dial of this address and port goes.
    func target(for address: EgressAddress, port: UInt16) -> (address: EgressAddress, port: UInt16) {
        guard let upstream = self.upstreams[address] else { return (address, port) }
        return (upstream.address, upstream.port ?? port)
    }
}
