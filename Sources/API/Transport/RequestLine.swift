internal import NIOCore
internal import NIOHTTP1

/// The form of a request line (RFC 9112 §3): a method, a target and a version, one space between them.
enum RequestLine {
    /// The methods that RFC 9110 and RFC 5789 define. Any other is answered with 501.
    static let methods: Set<String> = [
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT",
    ]

    /// Throws unless the line is well-formed, its version is HTTP/1.x, and its method is one that HTTP defines:
    /// `invalidMethod` for another method, `invalidVersion` for another version or protocol, `invalidConstant` for
    /// what is malformed.
    static func check(_ line: ByteBufferView) throws(HTTPParserError) {
        guard line.last == UInt8(ascii: "\n") else { throw .invalidConstant }
        var text = line.dropLast()
        if text.last == UInt8(ascii: "\r") { text = text.dropLast() }
        let parts = text.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
        guard parts.count == 3, !parts[0].isEmpty, parts[0].allSatisfy(Self.isTokenByte), !parts[1].isEmpty else {
            throw .invalidConstant
        }
        guard parts[2].count == 8, parts[2].starts(with: Array("HTTP/1.".utf8)),
            (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(parts[2].last ?? 0)
        else { throw .invalidVersion }
        guard Self.methods.contains(String(decoding: parts[0], as: UTF8.self)) else { throw .invalidMethod }
    }

    /// Whether a byte may stand in a token (RFC 9110 §5.6.2).
    static func isTokenByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
    }

    /// A head whose target is in absolute form, as the origin form that it means: the target's authority replaces the
    /// `Host` header (RFC 9112 §3.2.2). A head in origin, authority or asterisk form comes back unchanged. Throws
    /// `invalidURL` for a scheme other than http and https, and for a target of no form.
    static func resolved(_ head: HTTPRequestHead) throws(HTTPParserError) -> HTTPRequestHead {
        guard head.method != .CONNECT, !head.uri.hasPrefix("/"), head.uri != "*" else { return head }
        guard let separator = head.uri.firstRange(of: "://") else { throw .invalidURL }
        let scheme = head.uri[..<separator.lowerBound].lowercased()
        let rest = head.uri[separator.upperBound...]
        let authority = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        guard scheme == "http" || scheme == "https", !authority.isEmpty, !authority.contains("@") else {
            throw .invalidURL
        }
        let path = rest[authority.endIndex...]
        var head = head
        head.uri = path.hasPrefix("/") ? String(path) : "/" + path
        // A request must have one Host header whatever its target is; the gatekeeper refuses any other number.
        if head.headers["host"].count == 1 { head.headers.replaceOrAdd(name: "Host", value: String(authority)) }
        return head
    }
}
