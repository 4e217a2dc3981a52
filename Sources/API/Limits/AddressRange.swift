internal import Glibc
package import NIOCore

/// An address of the Internet protocol, of either version; a version 4 address mapped into 6 is the one it maps.
package struct IPAddress: Hashable, Sendable, CustomStringConvertible {
    let bytes: [UInt8]

    /// What stands for one client: the address, or of version 6 the 64 bits that a client's network has.
    var network: String {
        self.bytes.count == 4
            ? self.description : self.bytes.prefix(8).map { String($0, radix: 16) }.joined(separator: ":")
    }

    package init?(_ text: String) {
        var four = in_addr()
        var six = in6_addr()
        if unsafe inet_pton(AF_INET, text, &four) == 1 {
            self.init(bytes: unsafe withUnsafeBytes(of: four) { unsafe Array($0) })
        } else if unsafe inet_pton(AF_INET6, text, &six) == 1 {
            self.init(bytes: unsafe withUnsafeBytes(of: six) { unsafe Array($0) })
        } else {
            return nil
        }
    }

    package init?(_ address: SocketAddress?) {
        guard let text = address?.ipAddress else { return nil }
        self.init(String(text.prefix { $0 != "%" }))
    }

    private init(bytes: [UInt8]) {
        let mapped: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]
        self.bytes = bytes.count == 16 && bytes.starts(with: mapped) ? Array(bytes.dropFirst(12)) : bytes
    }

    package var description: String {
        if self.bytes.count == 4 { return self.bytes.map(String.init).joined(separator: ".") }
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        let isShown = unsafe self.bytes.withUnsafeBytes { raw in
            unsafe inet_ntop(AF_INET6, raw.baseAddress, &text, socklen_t(text.count)) != nil
        }
        return isShown ? String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self) : "?"
    }
}

/// Addresses that share their first bits, such as `10.0.0.0/8` or `2001:db8::/32`.
package struct AddressRange: Hashable, Sendable {
    private let address: IPAddress
    private let bits: Int

    /// Nil unless it is an address, or one with a number of bits that fits it.
    package init?(_ text: String) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let address = IPAddress(String(parts[0])) else { return nil }
        let longest = address.bytes.count * 8
        var bits = longest
        if parts.count == 2 {
            guard let number = Int(parts[1]), parts[1].utf8.allSatisfy({ (0x30...0x39).contains($0) }),
                (0...longest).contains(number)
            else { return nil }
            bits = number
        }
        self.address = address
        self.bits = bits
    }

    package func contains(_ other: IPAddress) -> Bool {
        guard other.bytes.count == self.address.bytes.count else { return false }
        let (whole, rest) = (self.bits / 8, self.bits % 8)
        guard self.address.bytes[..<whole] == other.bytes[..<whole] else { return false }
        guard rest > 0 else { return true }
        return (self.address.bytes[whole] ^ other.bytes[whole]) >> UInt8(8 - rest) == 0
    }
}
