import API

/// The addresses that only processes of this machine reach.
enum Loopback {
    private static let ranges = ["127.0.0.0/8", "::1"].compactMap { AddressRange($0) }

    /// True for a loopback address and for `localhost`; false for other names, which may be anywhere.
    static func contains(_ host: String) -> Bool {
        if host == "localhost" { return true }
        guard let address = IPAddress(host) else { return false }
        return self.ranges.contains { $0.contains(address) }
    }
}
