/// Code points as sorted ranges that do not touch.
struct ScalarSet: Sendable, Hashable {
    static let last: UInt32 = 0x10FFFF

    let ranges: [ClosedRange<UInt32>]
    /// One bit for each of the first 64 and the next 64 code points, which most texts are made of.
    private let low: UInt64
    private let high: UInt64

    init(_ ranges: [ClosedRange<UInt32>]) {
        var merged: [ClosedRange<UInt32>] = []
        for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            if let previous = merged.last, range.lowerBound <= previous.upperBound + 1 {
                merged[merged.count - 1] = previous.lowerBound...max(previous.upperBound, range.upperBound)
            } else {
                merged.append(range)
            }
        }
        func bits(from first: UInt32) -> UInt64 {
            (0..<64).reduce(0) { bits, bit in
                merged.contains { $0.contains(first + UInt32(bit)) } ? bits | 1 << UInt64(bit) : bits
            }
        }
        self.ranges = merged
        self.low = bits(from: 0)
        self.high = bits(from: 64)
    }

    init(_ scalar: UInt32) { self.init([scalar...scalar]) }

    var inverted: ScalarSet {
        var result: [ClosedRange<UInt32>] = []
        var next: UInt32 = 0
        for range in self.ranges {
            if next < range.lowerBound { result.append(next...range.lowerBound - 1) }
            next = range.upperBound + 1
        }
        if next <= Self.last { result.append(next...Self.last) }
        return ScalarSet(result)
    }

    /// The code point of a set of one.
    var only: UInt32? {
        guard self.ranges.count == 1, let range = self.ranges.first, range.count == 1 else { return nil }
        return range.lowerBound
    }

    func contains(_ scalar: UInt32) -> Bool {
        if scalar < 64 { return self.low >> UInt64(scalar) & 1 == 1 }
        if scalar < 128 { return self.high >> UInt64(scalar - 64) & 1 == 1 }
        var lower = 0
        var upper = self.ranges.count
        while lower < upper {
            let middle = (lower + upper) / 2
            if self.ranges[middle].upperBound < scalar { lower = middle + 1 } else { upper = middle }
        }
        return lower < self.ranges.count && self.ranges[lower].lowerBound <= scalar
    }

    static let digits = ScalarSet([0x30...0x39])
    static let wordCharacters = ScalarSet([0x30...0x39, 0x41...0x5a, 0x5f...0x5f, 0x61...0x7a])
    /// ECMAScript's WhiteSpace and LineTerminator.
    static let spaces = ScalarSet([
        0x09...0x0d, 0x20...0x20, 0xa0...0xa0, 0x1680...0x1680, 0x2000...0x200a, 0x2028...0x2029, 0x202f...0x202f,
        0x205f...0x205f, 0x3000...0x3000, 0xfeff...0xfeff,
    ])
    static let anyButLineEnds = ScalarSet([0x0a...0x0a, 0x0d...0x0d, 0x2028...0x2029]).inverted
}
