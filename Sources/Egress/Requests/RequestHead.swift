/// The head of a proxy request that can be read in one way only.
struct RequestHead: Hashable, Sendable {
    let line: RequestLine
    let framing: BodyFraming
    private let fields: [HeaderField]

    /// Checks the fields against each other and against the target.
    init(_ line: RequestLine, _ fields: [HeaderField]) throws(EgressRefusal) {
        self.line = line
        self.fields = fields
        for field in fields {
            let isCritical = ["host", "content-length", "transfer-encoding", "connection"].contains(field.folded)
            guard field.isSpelledPlainly || !isCritical else {
                throw EgressRefusal(.malformedRequest, "a header name is a variant of '\(field.folded)'")
            }
        }
        try Self.checkHost(line, fields)
        self.framing = try Self.framing(line, fields)
        try Self.checkConnection(line, fields)
    }

    private static func checkHost(_ line: RequestLine, _ fields: [HeaderField]) throws(EgressRefusal) {
        let hosts = fields.filter { $0.folded == "host" }
        guard hosts.count <= 1 else { throw EgressRefusal(.hostMismatch, "there are \(hosts.count) Host headers") }
        guard let field = hosts.first else {
            // Clients in wide use send CONNECT without Host. The target alone decides, so nothing can disagree.
            guard line.method == .connect else { throw EgressRefusal(.hostMismatch, "there is no Host header") }
            return
        }
        let authority = try Authority(field.value)
        if line.isForListener {
            guard Self.isListener(authority.host) else {
                throw EgressRefusal(.hostMismatch, "the Host header does not name the listener")
            }
            return
        }
        let port = authority.port ?? (line.method == .connect ? line.target.port : 80)
        guard authority.host == line.target.host, port == line.target.port else {
            throw EgressRefusal(.hostMismatch, "the Host header differs from the target")
        }
    }

    private static func isListener(_ host: EgressHost) -> Bool {
        switch host {
        case .name(let name): name.text == "localhost"
        case .address(let address): AddressClass(address) == .loopback
        }
    }

    private static func framing(_ line: RequestLine, _ fields: [HeaderField]) throws(EgressRefusal) -> BodyFraming {
        let lengths = fields.filter { $0.folded == "content-length" }
        let encodings = fields.filter { $0.folded == "transfer-encoding" }
        guard lengths.count + encodings.count <= 1 else {
            throw EgressRefusal(.ambiguousFraming, "the length of the body is stated more than once")
        }
        if let encoding = encodings.first {
            guard line.method != .connect, ASCII.lowercased(encoding.value) == "chunked" else {
                throw EgressRefusal(.ambiguousFraming, "the transfer encoding is not supported: expected chunked")
            }
            return .chunked
        }
        guard let length = lengths.first else { return .none }
        guard (1...18).contains(length.value.count), length.value.allSatisfy(ASCII.isDigit),
            let number = UInt64(String(decoding: length.value, as: UTF8.self))
        else { throw EgressRefusal(.ambiguousFraming, "the content length is malformed: expected a decimal number") }
        guard line.method != .connect || number == 0 else {
            throw EgressRefusal(.ambiguousFraming, "CONNECT has no body")
        }
        return number == 0 ? .none : .length(number)
    }

    /// Fields that `Connection` names are removed. It must not remove what frames or addresses the request.
    private static func checkConnection(_ line: RequestLine, _ fields: [HeaderField]) throws(EgressRefusal) {
        let named = fields.filter { $0.folded == "connection" }.flatMap(\.tokens)
        guard named.allSatisfy({ $0 != "host" && $0 != "content-length" && $0 != "transfer-encoding" }) else {
            throw EgressRefusal(.malformedRequest, "the Connection header names a header that must stay")
        }
        // A model's client is answered in the provider's own form.
        for field in fields
        where !line.isForListener && field.folded == "upgrade"
            && field.tokens.contains(where: { $0.hasPrefix("websocket") })
        {
            throw EgressRefusal(.upgradeNotAllowed, "an upgrade to WebSocket is not allowed")
        }
    }

    /// The head in origin form, as it goes to the server: without hop-by-hop and proxy fields, with `connection: close`.
    var forwarded: [UInt8] {
        let host =
            self.line.target.port == 80 ? self.line.target.host.description : self.line.target.description
        var bytes = Array("\(self.line.method.rawValue) \(self.line.path?.spelled ?? "/")".utf8)
        bytes += self.line.query
        bytes += " HTTP/1.1\r\nhost: \(host)\r\n".utf8
        bytes += self.passedFields { _ in true }
        if self.framing == .chunked { bytes += "transfer-encoding: chunked\r\n".utf8 }
        bytes += "connection: close\r\n\r\n".utf8
        return bytes
    }

    /// The header lines that are not of the connection, of those that `isPassed` allows.
    func passedFields(_ isPassed: (HeaderField) -> Bool) -> [UInt8] {
        var bytes: [UInt8] = []
        let named = Set(self.fields.filter { $0.folded == "connection" }.flatMap(\.tokens))
        for field in self.fields where !Self.isRemoved(field, named) && isPassed(field) {
            bytes += "\(field.name): ".utf8
            bytes += field.value
            bytes += "\r\n".utf8
        }
        return bytes
    }

    /// Names in their folded form, and values.
    var plainFields: [(name: String, value: String)] {
        self.fields.map { ($0.folded, String(decoding: $0.value, as: UTF8.self)) }
    }

    private static func isRemoved(_ field: HeaderField, _ named: Set<String>) -> Bool {
        self.hopByHop.contains(field.folded) || field.folded.hasPrefix("proxy-") || named.contains(field.folded)
            || named.contains(ASCII.lowercased(field.name.utf8))
    }

    private static let hopByHop: Set<String> = [
        "alt-used", "connection", "host", "http2-settings", "keep-alive", "te", "trailer", "transfer-encoding",
        "upgrade",
    ]
}
