internal import Domain

/// What a `Redactor` looks for: the forms and names of this module, and values that the process knows.
package struct RedactionRules: Sendable {
    enum Kind: Sendable {
        case form(TokenForm)
        case name(SecretName)
        case known
        case address
        case bearer
        case basic
        case webToken
        case privateKey
        case redisAuth
        case command(CommandSecret)
    }

    struct Anchor: Sendable {
        let literal: [UInt8]
        let ignoresCase: Bool
        let kind: Kind
    }

    /// Where an anchor's literal is in `literals`: no reference, so that a comparison costs little.
    struct Entry: Sendable {
        let start: Int
        let count: Int
        let ignoresCase: Bool
    }

    /// Sorted by slot, within a slot the longest first.
    private(set) var anchors: [Anchor]
    /// As `anchors`.
    private(set) var entries: [Entry] = []
    private(set) var literals: [UInt8] = []
    /// A bit for each slot that has an anchor: 8 KiB, so it stays in the first cache.
    private(set) var bits: [UInt64]
    /// For each slot the index of its first anchor.
    private var first: [UInt32]
    private var slots: [UInt16]

    /// The forms and names alone.
    package static let standard = RedactionRules()

    /// The forms and names, and these values in each encoding. Values below six bytes are left out: they occur in
    /// harmless text.
    package init(known values: [[UInt8]] = []) {
        var list = Self.builtIn
        for value in Set(values.flatMap(KnownSecret.encodings)).sorted(by: { $0.count > $1.count }) {
            list.append(Anchor(literal: value, ignoresCase: false, kind: .known))
        }
        let sorted = list.sorted {
            let (left, right) = (Self.slot(of: $0.literal), Self.slot(of: $1.literal))
            return left == right ? $0.literal.count > $1.literal.count : left < right
        }
        self.anchors = sorted
        for anchor in sorted {
            self.entries.append(
                Entry(start: self.literals.count, count: anchor.literal.count, ignoresCase: anchor.ignoresCase))
            self.literals += anchor.literal
        }
        self.slots = sorted.map { UInt16(Self.slot(of: $0.literal)) }
        self.bits = Array(repeating: 0, count: Self.slotCount / 64)
        self.first = Array(repeating: 0, count: Self.slotCount)
        for (index, slot) in self.slots.enumerated().reversed() {
            self.bits[Int(slot) / 64] |= 1 << UInt64(slot % 64)
            self.first[Int(slot)] = UInt32(clamping: index)
        }
    }

    /// The anchors of a slot.
    func candidates(_ slot: Int) -> Range<Int> {
        let start = Int(self.first[slot])
        var end = start
        while end < self.slots.count, Int(self.slots[end]) == slot { end += 1 }
        return start..<end
    }

    static let slotCount = 1 << 16

    /// The slot of three bytes, which are the lowest of the key; letters of either case have the same.
    static func slot(_ key: UInt32) -> Int { Int(((key | 0x20_2020) &* 0x9e37_79b1) >> 16) }

    private static func slot(of literal: [UInt8]) -> Int {
        self.slot(UInt32(literal[0]) | UInt32(literal[1]) << 8 | UInt32(literal[2]) << 16)
    }

    private static let builtIn: [Anchor] = {
        var list = TokenForm.all.map { Anchor(literal: $0.prefix, ignoresCase: false, kind: .form($0)) }
        list += SecretName.all.map { Anchor(literal: Array($0.base.utf8), ignoresCase: true, kind: .name($0)) }
        list += CommandSecret.all.map { Anchor(literal: $0.name, ignoresCase: false, kind: .command($0)) }
        for (literal, kind) in [
            ("://", Kind.address), ("eyJ", .webToken), ("-----BEGIN ", .privateKey), ("---- BEGIN SSH2", .privateKey),
            ("PuTTY-User-Key-File-", .privateKey),
        ] {
            list.append(Anchor(literal: Array(literal.utf8), ignoresCase: false, kind: kind))
        }
        for (literal, kind) in [("bearer", Kind.bearer), ("basic", .basic), ("auth", .redisAuth)] {
            list.append(Anchor(literal: Array(literal.utf8), ignoresCase: true, kind: kind))
        }
        return list
    }()
}
