/// Reads the answer of a provider as it arrives: the head, which is checked and passed on without what belongs to the
/// connection, and the content of the body. Keeps at most one head.
struct ModelAnswer: Hashable, Sendable {
    /// The largest head in bytes.
    static let headLimit = 64 * 1024

    /// The status; nil until the head is complete. Informational heads are dropped.
    private(set) var status: Int?
    /// Whether the bytes are not an HTTP/1.1 answer.
    private(set) var isMalformed = false
    /// Whether the connection can take another request once the answer is complete.
    private(set) var keepsConnection = false
    private var fields: [HeaderField] = []
    private var head: [UInt8] = []
    /// Nil for a body that ends with the connection.
    private var body: BodyReader?

    /// The header fields, with their names in lower case.
    var headers: [(name: String, value: String)] {
        self.fields.map { ($0.folded, String(decoding: $0.value, as: UTF8.self)) }
    }

    /// Whether any byte has arrived, also of an informational head.
    private(set) var hasBegun = false

    /// Whether the whole answer has arrived; `isEnd` says that the connection has ended.
    func isComplete(atEnd isEnd: Bool) -> Bool {
        guard self.status != nil, !self.isMalformed else { return false }
        return self.body?.isComplete ?? isEnd
    }

    /// Whether the content is sent in chunks.
    private(set) var isChunked = false

    /// Takes bytes. Returns the head for the caller once it is complete, and content. `isHead` for the answer to HEAD.
    mutating func read(_ bytes: [UInt8], toHead isHead: Bool) -> (head: [UInt8], content: [UInt8]) {
        if !bytes.isEmpty { self.hasBegun = true }
        var head: [UInt8] = []
        var rest = bytes[...]
        while self.status == nil, !self.isMalformed {
            guard let end = self.takeHead(&rest) else { return ([], []) }
            head = self.parse(end, isHead)
        }
        guard !self.isMalformed, !rest.isEmpty else { return (head, []) }
        guard self.body != nil else { return (head, Array(rest)) }
        do throws(EgressRefusal) {
            var content: [UInt8] = []
            // What follows the end belongs to no answer.
            let used = try self.body?.read(rest, payload: &content) ?? 0
            if used < rest.count { self.keepsConnection = false }
            return (head, content)
        } catch {
            self.isMalformed = true
            return (head, [])
        }
    }

    /// Moves bytes to the head up to its empty line. Returns the head once it is complete.
    private mutating func takeHead(_ rest: inout ArraySlice<UInt8>) -> [UInt8]? {
        while let byte = rest.popFirst() {
            self.head.append(byte)
            if byte == ASCII.lineFeed, self.head.suffix(4).elementsEqual("\r\n\r\n".utf8) {
                defer { self.head = [] }
                return self.head
            }
            guard self.head.count < Self.headLimit else {
                self.isMalformed = true
                return nil
            }
        }
        return nil
    }

    /// Reads a complete head and returns the one for the caller; empty for an informational one.
    private mutating func parse(_ head: [UInt8], _ isHead: Bool) -> [UInt8] {
        var lines = head.dropLast(4).split(separator: ASCII.lineFeed, omittingEmptySubsequences: false).map { line in
            line.last == ASCII.carriageReturn ? line.dropLast() : line
        }[...]
        let statusLine = Array(lines.popFirst() ?? [])
        guard statusLine.count >= 12, statusLine.starts(with: "HTTP/1.".utf8), statusLine[8] == ASCII.space,
            let status = Int(String(decoding: statusLine[9..<12], as: UTF8.self)), (100...599).contains(status),
            statusLine.allSatisfy({ $0 >= 0x20 && $0 != 0x7f })
        else { return self.fail() }
        guard status >= 200 else {
            // Nothing was asked for that would change the protocol.
            return status == 101 ? self.fail() : []
        }
        do throws(EgressRefusal) {
            for line in lines {
                guard line.allSatisfy({ $0 >= 0x20 && $0 != 0x7f || $0 == ASCII.tab }) else { return self.fail() }
                self.fields.append(try HeaderField(line: line))
            }
            let framing = try self.framing(status, isHead)
            self.isChunked = framing == .chunked
            self.body = framing.map { BodyReader($0) }
        } catch {
            return self.fail()
        }
        self.status = status
        let closes = self.fields.contains { $0.folded == "connection" && $0.tokens.contains("close") }
        self.keepsConnection = self.body != nil && !closes && statusLine[7] == UInt8(ascii: "1")
        var bytes = Array("HTTP/1.1 \(status) ".utf8) + statusLine.dropFirst(13) + Array("\r\n".utf8)
        for field in self.fields where !Self.removed.contains(field.folded) {
            bytes += "\(field.name): ".utf8
            bytes += field.value
            bytes += "\r\n".utf8
        }
        return bytes + Array("connection: close\r\n\r\n".utf8)
    }

    private mutating func fail() -> [UInt8] {
        self.isMalformed = true
        return []
    }

    /// Nil when the body ends with the connection.
    private func framing(_ status: Int, _ isHead: Bool) throws(EgressRefusal) -> BodyFraming? {
        if isHead || status == 204 || status == 304 { return BodyFraming.none }
        let encodings = self.fields.filter { $0.folded == "transfer-encoding" }
        let lengths = self.fields.filter { $0.folded == "content-length" }
        if let encoding = encodings.first {
            guard encodings.count == 1, lengths.isEmpty, encoding.tokens == ["chunked"] else {
                throw EgressRefusal(.answerMalformed, "the transfer encoding of the answer is not supported")
            }
            return .chunked
        }
        guard let length = lengths.first else { return nil }
        guard lengths.count == 1, length.value.allSatisfy(ASCII.isDigit),
            let number = UInt64(String(decoding: length.value, as: UTF8.self))
        else {
            throw EgressRefusal(.answerMalformed, "the content length of the answer is malformed")
        }
        return number == 0 ? BodyFraming.none : .length(number)
    }

    /// What belongs to the connection, would leave something with the caller, or points it to another way.
    private static let removed: Set<String> = [
        "alt-svc", "connection", "keep-alive", "proxy-authenticate", "proxy-connection", "set-cookie", "set-cookie2",
        "te", "trailer", "upgrade", "www-authenticate",
    ]
}
