/// The `host[:port]` of a CONNECT target, an absolute target or a Host field. Anything else that a URI allows there, such
/// as user information or an escape, is refused.
struct Authority: Hashable {
    let host: EgressHost
    let port: UInt16?

    /// Throws `invalid_host` or `invalid_port`.
    init(_ bytes: ArraySlice<UInt8>) throws(EgressRefusal) {
        guard !bytes.contains(UInt8(ascii: "@")) else {
            throw EgressRefusal(.invalidHost, "the host has user information, which is not accepted")
        }
        let colon: Int?
        if bytes.first == UInt8(ascii: "[") {
            guard let bracket = bytes.firstIndex(of: UInt8(ascii: "]")) else {
                throw EgressRefusal(.invalidHost, "the host has a bracket that is not closed")
            }
            let next = bytes.index(after: bracket)
            guard next == bytes.endIndex || bytes[next] == UInt8(ascii: ":") else {
                throw EgressRefusal(.invalidHost, "expected a port or nothing after the bracket")
            }
            colon = next == bytes.endIndex ? nil : next
        } else {
            colon = bytes.firstIndex(of: UInt8(ascii: ":"))
        }
        self.host = try EgressHost(bytes[..<(colon ?? bytes.endIndex)])
        guard let colon else {
            self.port = nil
            return
        }
        let digits = bytes[bytes.index(after: colon)...]
        guard let port = Self.port(digits) else {
            throw EgressRefusal(.invalidPort, "the port is malformed: expected a decimal number from 1 to 65535")
        }
        self.port = port
    }

    /// Strictly decimal, without sign, space or leading zero.
    private static func port(_ digits: ArraySlice<UInt8>) -> UInt16? {
        guard (1...5).contains(digits.count), digits.first != UInt8(ascii: "0"), digits.allSatisfy(ASCII.isDigit) else {
            return nil
        }
        return UInt16(String(decoding: digits, as: UTF8.self))
    }
}
