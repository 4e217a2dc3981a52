internal import Domain

/// The path of a request, with the one normalization on which rules decide. The original spelling is forwarded, and only
/// paths that every server reads alike are accepted.
package struct RequestPath: Hashable, Sendable {
    /// As the caller spelled it, without the query.
    package let spelled: String
    /// With escapes of unreserved characters decoded and all other escapes in upper case.
    package let normalized: String

    /// Throws `invalid_path` for dot segments and empty segments (also escaped, and before `;`), backslashes, escaped
    /// slashes, control characters and malformed escapes.
    package init(_ bytes: ArraySlice<UInt8>) throws(EgressRefusal) {
        guard bytes.first == UInt8(ascii: "/") else { throw Self.fail("the path does not start with a slash") }
        let normalized = try Self.normalized(bytes)
        let segments = normalized.dropFirst().split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        for (index, segment) in segments.enumerated() {
            let name = segment.prefix { $0 != UInt8(ascii: ";") }
            guard !name.elementsEqual(".".utf8), !name.elementsEqual("..".utf8) else {
                throw Self.fail("the path has a dot segment")
            }
            guard !segment.isEmpty || index == segments.count - 1 else {
                throw Self.fail("the path has an empty segment")
            }
        }
        self.spelled = String(decoding: bytes, as: UTF8.self)
        self.normalized = String(decoding: normalized, as: UTF8.self)
    }

    private static func fail(_ problem: String) -> EgressRefusal { EgressRefusal(.invalidPath, problem) }

    private static func normalized(_ bytes: ArraySlice<UInt8>) throws(EgressRefusal) -> [UInt8] {
        var result: [UInt8] = []
        var rest = bytes
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                guard ASCII.isUnreserved(byte) || "/:@!$&'()*+,;=".utf8.contains(byte) else {
                    throw self.fail("the path has a character that must be escaped")
                }
                result.append(byte)
                continue
            }
            guard let first = rest.popFirst(), let second = rest.popFirst(),
                let high = Hexadecimal.value(of: first), let low = Hexadecimal.value(of: second)
            else { throw self.fail("the path has a malformed escape") }
            let decoded = high << 4 | low
            guard decoded >= 0x20, decoded != 0x7f, decoded != UInt8(ascii: "/"), decoded != UInt8(ascii: "\\") else {
                throw self.fail("the path has an escaped slash, backslash or control character")
            }
            if ASCII.isUnreserved(decoded) {
                result.append(decoded)
            } else {
                result.append(UInt8(ascii: "%"))
                result += Hexadecimal.text(of: [decoded]).utf8.map { $0 >= 0x61 ? $0 - 0x20 : $0 }
            }
        }
        return result
    }
}
