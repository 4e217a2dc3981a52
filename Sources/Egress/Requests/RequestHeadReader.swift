/// Reads the head of a proxy request from bytes that arrive in any segments. The result does not depend on the segments,
/// and a malformed head is refused at its first wrong byte. At most `limit` bytes are kept.
struct RequestHeadReader: Hashable, Sendable {
    /// More than any of the measured agents sends (about 4 KB), and little enough for ten thousand connections.
    static let limit = 32 * 1024
    static let fieldLimit = 128

    private var buffer: [UInt8] = []
    private var lineStart = 0
    private var line: RequestLine?
    private var fields: [HeaderField] = []

    /// Whether no byte has arrived.
    var isEmpty: Bool { self.buffer.isEmpty }

    /// Takes bytes. Returns the head and the number of the bytes that belong to it, or nil when the head is incomplete.
    mutating func read(_ bytes: ArraySlice<UInt8>) throws(EgressRefusal) -> (head: RequestHead, used: Int)? {
        for (offset, byte) in bytes.enumerated() {
            guard self.buffer.count < Self.limit else {
                throw EgressRefusal(.headTooLarge, "the head has more than \(Self.limit) bytes")
            }
            let previous = self.buffer.last
            self.buffer.append(byte)
            try Self.check(byte, after: previous)
            if byte == ASCII.lineFeed, let head = try self.endLine() { return (head, offset + 1) }
        }
        return nil
    }

    private static func check(_ byte: UInt8, after previous: UInt8?) throws(EgressRefusal) {
        guard (byte == ASCII.lineFeed) == (previous == ASCII.carriageReturn) else {
            throw EgressRefusal(.malformedRequest, "a line does not end with CR LF")
        }
        let isLineEnd = byte == ASCII.lineFeed || byte == ASCII.carriageReturn
        guard byte >= 0x20 && byte != 0x7f || byte == ASCII.tab || isLineEnd else {
            throw EgressRefusal(.malformedRequest, "the head has a control character")
        }
    }

    /// Handles the line that has just ended. Returns the head if that was the empty line.
    private mutating func endLine() throws(EgressRefusal) -> RequestHead? {
        let text = self.buffer[self.lineStart..<(self.buffer.count - 2)]
        self.lineStart = self.buffer.count
        guard let line = self.line else {
            self.line = try RequestLine(text)
            return nil
        }
        guard !text.isEmpty else { return try RequestHead(line, self.fields) }
        guard self.fields.count < Self.fieldLimit else {
            throw EgressRefusal(.headTooLarge, "the head has more than \(Self.fieldLimit) headers")
        }
        self.fields.append(try HeaderField(line: text))
        return nil
    }
}
