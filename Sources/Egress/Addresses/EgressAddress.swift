/// An IP address of either version. An IPv4-mapped IPv6 address is the IPv4 address that it maps, because the kernel dials
/// that one.
package struct EgressAddress: Hashable, Sendable, CustomStringConvertible {
    /// 32 significant bits for IPv4, 128 for IPv6.
    let value: UInt128
    package let isVersion6: Bool

    private init(value: UInt128, isVersion6: Bool) {
        self.value = value
        self.isVersion6 = isVersion6
    }

    /// An IPv4 address from its 32 bits.
    package init(version4Bits bits: UInt32) { self.init(value: UInt128(bits), isVersion6: false) }

    /// An IPv6 address from its 128 bits.
    package init(version6Bits bits: UInt128) {
        if bits >> 32 == 0xffff {
            self.init(version4Bits: UInt32(truncatingIfNeeded: bits))
        } else {
            self.init(value: bits, isVersion6: true)
        }
    }

    /// Reads either version, without brackets; nil for anything else.
    package init?(_ text: String) {
        if let address = EgressAddress(version4: text) ?? EgressAddress(version6: text) {
            self = address
        } else {
            return nil
        }
    }

    /// Reads four decimal numbers without leading zeros; nil for every other form, also those that `inet_aton` reads.
    package init?(version4 text: String) {
        let parts = text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var bits: UInt32 = 0
        for part in parts {
            guard (1...3).contains(part.count), part.allSatisfy(ASCII.isDigit),
                part.count == 1 || part.first != UInt8(ascii: "0"),
                let number = UInt8(String(decoding: part, as: UTF8.self))
            else { return nil }
            bits = bits << 8 | UInt32(number)
        }
        self.init(version4Bits: bits)
    }

    /// Reads the forms of RFC 4291, section 2.2, without a zone; nil for anything else.
    package init?(version6 text: String) {
        guard (2...45).contains(text.utf8.count), let gap = Self.halves(text) else { return nil }
        guard let head = Self.groups(gap.head, allowsVersion4: gap.tail == nil) else { return nil }
        var groups = head
        if let tailText = gap.tail {
            guard let tail = Self.groups(tailText, allowsVersion4: true), head.count + tail.count <= 7 else {
                return nil
            }
            groups += Array(repeating: 0, count: 8 - head.count - tail.count) + tail
        }
        guard groups.count == 8 else { return nil }
        self.init(version6Bits: groups.reduce(UInt128(0)) { $0 << 16 | UInt128($1) })
    }

    /// What is before and after the only `::`; nil if there are two.
    private static func halves(_ text: String) -> (head: Substring, tail: Substring?)? {
        let parts = text.split(separator: "::", omittingEmptySubsequences: false)
        switch parts.count {
        case 1: return (parts[0], nil)
        case 2: return (parts[0], parts[1])
        default: return nil
        }
    }

    private static func groups(_ text: Substring, allowsVersion4: Bool) -> [UInt16]? {
        guard !text.isEmpty else { return [] }
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        var groups: [UInt16] = []
        for (index, part) in parts.enumerated() {
            if allowsVersion4, index == parts.count - 1, part.utf8.contains(UInt8(ascii: ".")) {
                guard let address = EgressAddress(version4: String(part)) else { return nil }
                groups.append(UInt16(truncatingIfNeeded: address.value >> 16))
                groups.append(UInt16(truncatingIfNeeded: address.value))
            } else {
                guard (1...4).contains(part.utf8.count), part.utf8.first != UInt8(ascii: "+"),
                    let group = UInt16(part, radix: 16)
                else { return nil }
                groups.append(group)
            }
        }
        return groups.count <= 8 ? groups : nil
    }

    /// The canonical text (RFC 5952 for IPv6), without brackets.
    package var description: String {
        guard self.isVersion6 else {
            return stride(from: 24, through: 0, by: -8).map { String(self.value >> UInt128($0) & 0xff) }
                .joined(separator: ".")
        }
        let groups = stride(from: 112, through: 0, by: -16).map {
            UInt16(truncatingIfNeeded: self.value >> UInt128($0))
        }
        func text(_ part: ArraySlice<UInt16>) -> String { part.map { String($0, radix: 16) }.joined(separator: ":") }
        var longest = 0..<0
        var start = 0
        for index in 0...8 where index == 8 || groups[index] != 0 {
            if index - start > longest.count { longest = start..<index }
            start = index + 1
        }
        guard longest.count >= 2 else { return text(groups[...]) }
        return text(groups[..<longest.lowerBound]) + "::" + text(groups[longest.upperBound...])
    }
}
