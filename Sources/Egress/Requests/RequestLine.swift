internal import ModelUsage

/// The first line of a proxy request.
struct RequestLine: Hashable, Sendable {
    let method: EgressMethod
    let target: EgressTarget
    /// Nil for CONNECT.
    let path: RequestPath?
    /// With the question mark; empty if there is none.
    let query: [UInt8]
    let isVersion10: Bool
    /// Whether the target is a path of the listener itself, below `/model/`.
    let isForListener: Bool

    /// Reads `METHOD target HTTP/1.1` with single spaces. CONNECT has `host:port`, every other method an absolute
    /// `http://` target or a path of a model. HTTP/1.0 is accepted for CONNECT only, since some clients use it there.
    init(_ line: ArraySlice<UInt8>) throws(EgressRefusal) {
        let parts = line.split(separator: ASCII.space, omittingEmptySubsequences: false)
        guard parts.count == 3, !parts[0].isEmpty, parts[0].allSatisfy(ASCII.isToken), !parts[1].isEmpty else {
            throw EgressRefusal(.malformedRequest, "the request line is malformed: expected METHOD target HTTP/1.1")
        }
        let version = try Self.version(parts[2])
        guard let method = EgressMethod(rawValue: String(decoding: parts[0], as: UTF8.self)) else {
            let name = String(decoding: parts[0].prefix(32), as: UTF8.self)
            throw EgressRefusal(.methodNotAllowed, "the method \(name) is not supported")
        }
        self.method = method
        self.isVersion10 = version == 0
        self.isForListener = method != .connect && parts[1].starts(with: ModelService.pathPrefix.utf8)
        if method == .connect {
            let authority = try Authority(parts[1])
            guard let port = authority.port else {
                throw EgressRefusal(.invalidPort, "CONNECT has no port: expected host:port")
            }
            self.target = EgressTarget(host: authority.host, port: port)
            self.path = nil
            self.query = []
            return
        }
        guard version == 1 else {
            throw EgressRefusal(.versionNotSupported, "HTTP/1.0 is accepted for CONNECT only: expected HTTP/1.1")
        }
        let rest = self.isForListener ? parts[1] : try Self.afterScheme(parts[1])
        let end = rest.firstIndex { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") } ?? rest.endIndex
        // The host of a model is the entry's, whatever the caller writes.
        let authority = try Authority(self.isForListener ? Array("127.0.0.1".utf8)[...] : rest[..<end])
        self.target = EgressTarget(host: authority.host, port: authority.port ?? 80)
        let mark = rest[end...].firstIndex(of: UInt8(ascii: "?")) ?? rest.endIndex
        let path = rest[end..<mark]
        self.path = try RequestPath(path.isEmpty ? Array("/".utf8)[...] : path)
        self.query = Array(rest[mark...])
        guard self.query.allSatisfy({ (0x21...0x7e).contains($0) && $0 != UInt8(ascii: "#") }) else {
            throw EgressRefusal(.invalidPath, "the query has a character that must be escaped")
        }
    }

    private static func version(_ bytes: ArraySlice<UInt8>) throws(EgressRefusal) -> UInt8 {
        let text = Array(bytes)
        guard text.count == 8, text.starts(with: "HTTP/".utf8), ASCII.isDigit(text[5]), text[6] == UInt8(ascii: "."),
            ASCII.isDigit(text[7])
        else { throw EgressRefusal(.malformedRequest, "the request line has no HTTP version: expected HTTP/1.1") }
        guard text[5] == UInt8(ascii: "1"), text[7] <= UInt8(ascii: "1") else {
            throw EgressRefusal(.versionNotSupported, "the HTTP version is not supported: expected HTTP/1.1")
        }
        return text[7] - UInt8(ascii: "0")
    }

    private static func afterScheme(_ target: ArraySlice<UInt8>) throws(EgressRefusal) -> ArraySlice<UInt8> {
        if target.first == UInt8(ascii: "/") || target.first == UInt8(ascii: "*") {
            throw EgressRefusal(.notAProxyRequest, "the target has no host: this is a forward proxy")
        }
        guard let colon = target.firstIndex(of: UInt8(ascii: ":")), target[colon...].starts(with: "://".utf8) else {
            throw EgressRefusal(.notAProxyRequest, "the target is not an absolute URI: this is a forward proxy")
        }
        guard ASCII.lowercased(target[..<colon]) == "http" else {
            throw EgressRefusal(.schemeNotSupported, "the scheme of the target is not http")
        }
        return target[colon...].dropFirst(3)
    }
}
