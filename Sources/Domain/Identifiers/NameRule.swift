/// The rule that all names share. Names become parts of Redis keys and file names. Therefore the alphabet is small and in
/// lower case, and a name cannot be empty, name a hidden file or refer to a parent directory.
enum NameRule {
    /// Returns `text` if it has 1 to `limit` bytes of a-z, 0-9 and `extra`, and begins and ends with a letter or digit.
    /// Throws `DomainError.invalidIdentifier` otherwise; `kind` and `expected` go into its message.
    static func check(
        _ text: String, kind: String, limit: Int, extra: String, expected: String
    ) throws(DomainError) -> String {
        // Ranges instead of a set, because this runs for every delivery.
        let extra = Array(extra.utf8)
        let bytes = Array(text.utf8)
        func isPlain(_ byte: UInt8) -> Bool {
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
                || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
        }
        guard let first = bytes.first, let last = bytes.last, bytes.count <= limit, isPlain(first), isPlain(last),
            bytes.allSatisfy({ isPlain($0) || extra.contains($0) })
        else {
            throw .invalidIdentifier(kind: kind, text: text, expected: expected)
        }
        return text
    }
}
