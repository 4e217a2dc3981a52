/// Classes of ASCII bytes, as the grammars of URI and HTTP define them.
enum ASCII {
    static let carriageReturn: UInt8 = 0x0d
    static let lineFeed: UInt8 = 0x0a
    static let space: UInt8 = 0x20
    static let tab: UInt8 = 0x09

    static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

    static func isLetter(_ byte: UInt8) -> Bool { (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte) }

    /// Folds the letters A to Z only, so the result does not depend on a locale.
    static func lowercased(_ byte: UInt8) -> UInt8 { (0x41...0x5a).contains(byte) ? byte + 0x20 : byte }

    static func lowercased(_ bytes: some Sequence<UInt8>) -> String {
        String(decoding: bytes.map { self.lowercased($0) }, as: UTF8.self)
    }

    /// The characters of a method or a field name (RFC 9110, section 5.6.2).
    static func isToken(_ byte: UInt8) -> Bool {
        self.isLetter(byte) || self.isDigit(byte) || "!#$%&'*+-.^_`|~".utf8.contains(byte)
    }

    /// The characters that a URI never needs to escape (RFC 3986, section 2.3).
    static func isUnreserved(_ byte: UInt8) -> Bool {
        self.isLetter(byte) || self.isDigit(byte) || "-._~".utf8.contains(byte)
    }

    /// Removes spaces and tabs at both ends.
    static func trimmed(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        let head = bytes.drop { $0 == self.space || $0 == self.tab }
        guard let end = head.lastIndex(where: { $0 != self.space && $0 != self.tab }) else { return head.prefix(0) }
        return head[...end]
    }
}
