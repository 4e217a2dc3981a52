/// A set of ASCII bytes with a test of a few instructions.
struct ByteSet: Sendable {
    private var low: UInt64 = 0
    private var high: UInt64 = 0

    /// Takes bytes and ranges, such as `"A-Za-z0-9_-"`; a hyphen at the end stands for itself.
    init(_ text: String) {
        let bytes = Array(text.utf8)
        var index = 0
        while index < bytes.count {
            if index + 2 < bytes.count, bytes[index + 1] == UInt8(ascii: "-") {
                for byte in bytes[index]...bytes[index + 2] { self.insert(byte) }
                index += 3
            } else {
                self.insert(bytes[index])
                index += 1
            }
        }
    }

    func contains(_ byte: UInt8) -> Bool {
        guard byte < 128 else { return false }
        return (byte < 64 ? self.low : self.high) & (1 << UInt64(byte & 63)) != 0
    }

    private mutating func insert(_ byte: UInt8) {
        if byte < 64 { self.low |= 1 << UInt64(byte) } else if byte < 128 { self.high |= 1 << UInt64(byte & 63) }
    }

    static let digits = ByteSet("0-9")
    /// Visible bytes that are no quotes and no backslashes.
    static let headerValue = ByteSet("!#-&(-[]-~")
    static let divider = ByteSet("_. -")
    static let bareEnd = ByteSet("\"'`<")
    static let opening = ByteSet("([{")
    static let closing = ByteSet(")]}")
    static let escaped = ByteSet("nrtu\"'\\")
    static let pairEnd = ByteSet("\"'`)]}&|;,")
    static let quotes = ByteSet("\"'`")
    static let typeName = ByteSet("A-Za-z0-9<>?!.[]:*&")
    static let hex = ByteSet("0-9a-fA-F")
    static let alnum = ByteSet("A-Za-z0-9")
    static let word = ByteSet("A-Za-z0-9_")
    /// The alphabet of base64url.
    static let url = ByteSet("A-Za-z0-9_-")
    /// The alphabet of base64url, and the period that divides parts.
    static let dotted = ByteSet("A-Za-z0-9_.-")
    static let base64 = ByteSet("A-Za-z0-9+/=")
    /// What a token in a header may have (RFC 6750 §2.1).
    static let bearer = ByteSet("A-Za-z0-9._~+/=-")
    static let upper = ByteSet("A-Z0-9")
    static let lower = ByteSet("a-z0-9")
    static let space = ByteSet(" \t")
    static let letters = ByteSet("A-Za-z")
    static let capitals = ByteSet("A-Z")
    static let small = ByteSet("a-z")
    static let blank = ByteSet(" \t\r\n")
    static let dot = ByteSet(".")
    static let dash = ByteSet("-")

    static let unreserved = ByteSet("A-Za-z0-9._~-")
    static let schemeName = ByteSet("A-Za-z0-9-")
    static let visible = ByteSet("!-~")
    static let argument = ByteSet(" !#-[]-~")
    static let urlScheme = ByteSet("A-Za-z0-9+.-")
    static let urlEnd = ByteSet(" \t\r\n/?#\"'`<>|\\(),;")
    static let parameters = ByteSet("0-9;?")
    static let equals = ByteSet("=")
    static let tagName = ByteSet("A-Za-z0-9_.:-")
    static let literalMark = ByteSet("bBrRuUfFL@#")
    static let pairName = ByteSet("A-Za-z0-9_. -")
    static let printable = ByteSet(" -~")
    static let title = ByteSet("A-Z0-9 ")
    static let dashOrSpace = ByteSet("- ")
    static let indentation = ByteSet(" \t\r\n>|")
    static let footer = ByteSet("A-Z0-9 -")
}
