/// The addresses that share their first bits, such as `10.0.0.0/8` or `2001:db8::/32`.
package struct AddressRange: Hashable, Sendable, CustomStringConvertible {
    package let address: EgressAddress
    /// The number of bits that the addresses share.
    package let length: Int

    /// Nil unless the text is an address, alone or with a prefix length that leaves no bits of the address.
    package init?(_ text: String) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first, let address = EgressAddress(String(first)) else { return nil }
        let width = address.isVersion6 ? 128 : 32
        var length = width
        if parts.count == 2 {
            let digits = parts[1].utf8
            guard (1...3).contains(digits.count), digits.allSatisfy(ASCII.isDigit),
                digits.count == 1 || digits.first != UInt8(ascii: "0"), let number = Int(parts[1]), number <= width
            else { return nil }
            length = number
        }
        self.init(address: address, length: length)
        guard self.contains(address), address.value == address.value & self.mask else { return nil }
    }

    init(address: EgressAddress, length: Int) {
        self.address = address
        self.length = length
    }

    private var mask: UInt128 {
        let width = self.address.isVersion6 ? 128 : 32
        // A shift by the whole width gives zero: the empty prefix.
        return UInt128.max << UInt128(width - self.length)
    }

    /// Whether the address is one of the range. Addresses of the other version never are.
    package func contains(_ other: EgressAddress) -> Bool {
        guard other.isVersion6 == self.address.isVersion6 else { return false }
        return (other.value ^ self.address.value) & self.mask == 0
    }

    package var description: String { "\(self.address)/\(self.length)" }
}
