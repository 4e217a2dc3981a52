/// One field of a request's head.
struct HeaderField: Hashable, Sendable {
    /// As it was spelled.
    let name: String
    /// In lower case, with `_` and `.` read as `-`, because some servers do that too.
    let folded: String
    /// Without the spaces around it.
    let value: ArraySlice<UInt8>

    /// Throws `malformed_request` unless the line is a field of RFC 9112, section 5, without folding.
    init(line: ArraySlice<UInt8>) throws(EgressRefusal) {
        guard line.first != ASCII.space, line.first != ASCII.tab else {
            throw Self.fail("a header line begins with a space: folded headers are not accepted")
        }
        guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { throw Self.fail("a header line has no colon") }
        let name = line[..<colon]
        guard !name.isEmpty, name.allSatisfy(ASCII.isToken) else {
            throw Self.fail("a header name is malformed: expected no space before the colon")
        }
        self.name = String(decoding: name, as: UTF8.self)
        let separators = "_.".utf8
        self.folded = ASCII.lowercased(name.map { separators.contains($0) ? UInt8(ascii: "-") : $0 })
        self.value = ASCII.trimmed(line[line.index(after: colon)...])
    }

    private static func fail(_ problem: String) -> EgressRefusal { EgressRefusal(.malformedRequest, problem) }

    /// Whether the name as spelled, without regard to case, is the folded one.
    var isSpelledPlainly: Bool { ASCII.lowercased(self.name.utf8) == self.folded }

    /// The elements of a list of tokens, in lower case.
    var tokens: [String] {
        self.value.split(separator: UInt8(ascii: ",")).map { ASCII.lowercased(ASCII.trimmed($0)) }
    }
}
