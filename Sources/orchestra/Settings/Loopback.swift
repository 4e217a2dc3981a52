import API

/// The addresses that only processes of this machine reach.
enum Loopback {
    private static let ranges = ["127.0.0.0/8", "::1"].compactMap { AddressRange($0) }

    /// True for a loopback address, also in brackets as in a URL, and for `localhost`; false for other names, which may be
    /// anywhere.
    static func contains(_ host: String) -> Bool {
        if host == "localhost" { return true }
        let isBracketed = host.hasPrefix("[") && host.hasSuffix("]")
        guard let address = IPAddress(isBracketed ? String(host.dropFirst().dropLast()) : host) else { return false }
        return self.ranges.contains { $0.contains(address) }
    }
}
