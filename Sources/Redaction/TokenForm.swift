/// A token that its form identifies: a literal beginning, and runs of bytes from known alphabets.
struct TokenForm: Sendable {
    /// One run of the body.
    struct Part: Sendable {
        let set: ByteSet
        let length: ClosedRange<Int>

        init(_ set: ByteSet, _ length: ClosedRange<Int>) {
            self.set = set
            self.length = length
        }

        static let dot = Part(.dot, 1...1)
        static let dash = Part(.dash, 1...1)
    }

    /// What else must hold of the body.
    enum Check: Sendable {
        case none
        /// Many different bytes, and not letters of one case alone: no placeholder and no name.
        case varied
        /// As `varied`; or its last six characters are the CRC-32 of those before, in base 62: then it may stand anywhere.
        case checksum
    }

    let label: String
    let prefix: [UInt8]
    let parts: [Part]
    let check: Check
    /// True when the token is preceded by no letter, digit or underscore.
    let needsBoundary: Bool
    /// True when a longer run is no such token; otherwise the rest of the run belongs to it.
    let isExact: Bool

    init(
        _ label: String, _ prefix: String, _ parts: [Part], check: Check = .varied, boundary: Bool? = nil,
        exact: Bool = false
    ) {
        self.label = label
        self.prefix = Array(prefix.utf8)
        self.parts = parts
        self.check = check
        self.needsBoundary = boundary ?? !(prefix.utf8.count >= 4 && prefix.contains { "_-.".contains($0) })
        self.isExact = exact
    }

    /// A token with one run of at least `least` bytes after its beginning.
    init(
        _ label: String, _ prefix: String, _ set: ByteSet, _ least: Int, check: Check = .varied,
        boundary: Bool? = nil, exact: Bool = false
    ) {
        self.init(
            label, prefix, [Part(set, least...(exact ? least : Int.max))], check: check, boundary: boundary,
            exact: exact)
    }
}
