/// The version of a program: numbers between dots, the most significant first.
package struct ProgramVersion: Hashable, Sendable, Comparable, CustomStringConvertible {
    private let numbers: [UInt32]

    /// Reads a text such as `2.1.332`; nil when it is anything else.
    package init?(_ text: some StringProtocol) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        let numbers = parts.compactMap { part in
            part.allSatisfy { $0.isASCII && $0.isNumber } ? UInt32(part) : nil
        }
        guard parts.count > 1, numbers.count == parts.count else { return nil }
        self.numbers = numbers
    }

    /// The first version in what a program prints about itself; nil when there is none.
    package init?(in text: some StringProtocol) {
        let found = text.split { !($0 == "." || ($0.isASCII && $0.isNumber)) }.lazy.compactMap { word in
            ProgramVersion(word.drop { $0 == "." })
        }
        guard let first = found.first else { return nil }
        self = first
    }

    package var description: String { self.numbers.map(String.init).joined(separator: ".") }

    /// Compares number by number; a version that goes on is the newer one.
    package static func < (left: Self, right: Self) -> Bool {
        left.numbers.lexicographicallyPrecedes(right.numbers)
    }
}
