internal import Domain
internal import HTTPTypes
internal import Redaction

/// The form that a request's target and headers must have. Knows neither the network nor any state.
enum RequestForm {
    private static let targetLimit = 2048

    // MARK: - Target and headers

    /// Throws a `Problem` for a target or headers of another form.
    static func check(_ head: HTTPRequest, publicPaths: Set<String> = []) throws {
        let path = head.path ?? ""
        guard path.utf8.count <= Self.targetLimit else {
            throw Problem(.malformed, "the request's target is longer than \(Self.targetLimit) bytes")
        }
        let plain = path.prefix { $0 != "?" }
        guard (Self.isPlain(plain) && !path.contains("#")) || publicPaths.contains(String(plain)) else {
            throw Problem(.malformed, "the path is malformed: expected letters, digits, '-', '_', '.' and '/'")
        }
        for name in [HTTPField.Name.authorization, .contentType, .contentLength, .origin, .requestID]
        where head.headerFields[values: name].count > 1 {
            throw Problem(.malformed, "the header '\(name.rawName)' occurs twice; expected it once")
        }
    }

    /// Whether a path has one spelling only: no character that needs escaping, and nothing to resolve.
    static func isPlain(_ path: Substring) -> Bool {
        path.hasPrefix("/") && path.utf8.allSatisfy(Self.isPathByte) && !path.contains("//") && !path.contains("/.")
            && (path.count == 1 || !path.hasSuffix("/"))
    }

    private static func isPathByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."),
            UInt8(ascii: "/"):
            true
        default: false
        }
    }

    // MARK: - Host

    /// Throws a `Problem` unless the request names this server. A page on the web can make a browser call a loopback
    /// address under a name of the page's own (DNS rebinding); the name shows it. `allowed` is empty for any name.
    static func checkHost(_ head: HTTPRequest, allowed: Set<String>) throws {
        guard let authority = head.authority, !authority.isEmpty, head.headerFields[values: .host].isEmpty else {
            throw Problem(.malformed, "the request must have one Host header")
        }
        let name = Self.hostName(authority)
        guard !allowed.isEmpty else {
            guard !name.isEmpty else {
                throw Problem(.malformed, "the Host header must be a name or an address, with a port or without")
            }
            return
        }
        // `==` takes different spellings of one character for equal, so only ASCII is compared.
        guard authority.utf8.allSatisfy({ $0 < 0x80 }), allowed.contains(name) else {
            throw Problem(
                .misdirected, "this server does not serve the host '\(Printable.text(authority, limit: 100))'",
                rule: "host")
        }
    }

    /// The name of `name`, `name:port`, `[address]` or `[address]:port`, in lower case; empty for anything else.
    static func hostName(_ authority: String) -> String {
        var rest = authority[...]
        var name = rest.prefix { $0 != ":" }
        if rest.hasPrefix("[") {
            guard let end = rest.firstIndex(of: "]") else { return "" }
            name = rest[...end]
        }
        rest = rest[name.endIndex...]
        guard !rest.isEmpty else { return name.lowercased() }
        let port = rest.dropFirst()
        guard rest.first == ":", (1...5).contains(port.count), port.utf8.allSatisfy({ (0x30...0x39).contains($0) })
        else { return "" }
        return name.lowercased()
    }

    // MARK: - Addresses

    /// The client's address behind trusted proxies: the last address in `X-Forwarded-For` that is not one of theirs.
    /// From any other peer the header is ignored. Throws a `Problem` when a proxy forwards what is not an address.
    static func clientAddress(
        _ direct: IPAddress, forwarded: [String], proxies: [AddressRange]
    ) throws -> IPAddress {
        func isProxy(_ address: IPAddress) -> Bool { proxies.contains { $0.contains(address) } }
        guard isProxy(direct) else { return direct }
        for part in forwarded.joined(separator: ",").split(separator: ",").reversed() {
            let text = String(part.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
            guard let address = IPAddress(text) else {
                throw Problem(.malformed, "the proxy's X-Forwarded-For is malformed: expected addresses", rule: "proxy")
            }
            if !isProxy(address) { return address }
        }
        return direct
    }

    // MARK: - Identifiers

    /// The client's name for its request; nil unless it is plain, short, and holds no credential.
    static func usableID(_ text: String?) -> String? {
        guard let text, (1...64).contains(text.utf8.count),
            text.utf8.allSatisfy({ Self.isPathByte($0) && $0 != UInt8(ascii: "/") }),
            Redactor.redacted(text) == text
        else { return nil }
        return text
    }

    /// `00-<32 digits>-<16 digits>-<2 digits>`, not all zero (W3C Trace Context); nil for anything else, which the
    /// standard says to ignore.
    static func traceparent(_ text: String?) -> String? {
        guard let text else { return nil }
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        let digits = Set("0123456789abcdef")
        guard parts.count == 4, parts.map(\.count) == [2, 32, 16, 2], parts[0] == "00",
            parts.allSatisfy({ $0.allSatisfy(digits.contains) }), parts[1].contains(where: { $0 != "0" }),
            parts[2].contains(where: { $0 != "0" })
        else { return nil }
        return text
    }
}
