internal import NIOCore
internal import NIOHTTP1

/// Follows the boundaries between the HTTP/1.1 messages of one connection, and enforces what the HTTP parser does not:
/// the form of the request line, and a bound on the bytes that carry no content.
///
/// It does not decide where a message ends: the parser does, and reports it here. The bytes are handed to the parser in
/// slices that never reach past the end of a message, so that every request line is seen whole before it is parsed.
struct RequestFraming {
    private enum State {
        /// Before a request line, or in one that has not arrived whole.
        case requestLine
        case headers
        /// In a body with this many bytes left.
        case body(UInt64)
        case chunkedBody
        /// After a request for an upgrade or a tunnel: the parser reads no further request.
        case upgraded
        /// Refused; whatever follows is dropped.
        case failed
    }

    /// What to do with the bytes that have arrived.
    enum Step {
        /// Hand these to the parser, then ask again.
        case pass(ByteBuffer)
        /// Wait for more bytes.
        case wait
        /// Refuse the request; every byte after this one is dropped.
        case refuse(HTTPParserError)
        /// Close the connection: the client goes on sending after it was refused.
        case close
    }

    private var state = State.requestLine
    /// The beginning of a request line that has not arrived whole.
    private var line = ByteBuffer()
    private var isUpgrade = false
    /// Bytes of the message handed to the parser since its head ended, and those of them that are content.
    private var bodyBytes: (raw: Int, content: Int) = (0, 0)
    private var dropped = 0
    private var emptyLines = 0

    private static let lineLimit = 17 * 1024
    /// No method that is registered is longer (RFC 9110 §16.1).
    private static let methodLimit = 32
    /// Chunks are handed on in slices of this many bytes at most.
    private static let sliceLimit = 4096
    /// Chunk sizes, extensions and trailers: this many bytes, and eight more for each byte of content (chunks of one
    /// byte need five).
    private static let overheadLimit = 8192
    private static let overheadForEachByte = 8
    /// How much a client may still send after its request was refused.
    private static let dropLimit = 1024 * 1024
    private static let emptyLineLimit = 16

    /// Decides about the bytes in `buffer`, and takes from it what the step covers.
    mutating func step(_ buffer: inout ByteBuffer) -> Step {
        guard buffer.readableBytes > 0 else { return .wait }
        switch self.state {
        case .requestLine: return self.takeRequestLine(&buffer)
        case .headers: return .pass(Self.takeLine(&buffer, limit: .max) ?? Self.takeAll(&buffer))
        case .body(0): return .pass(Self.takeAll(&buffer))
        case .body(let left):
            let count = Int(clamping: min(left, UInt64(buffer.readableBytes)))
            self.state = .body(left - UInt64(count))
            return .pass(buffer.readSlice(length: count) ?? ByteBuffer())
        case .chunkedBody:
            let (raw, content) = self.bodyBytes
            guard raw <= Self.overheadLimit + content * (1 + Self.overheadForEachByte) else {
                return self.refuse(.invalidChunkSize)
            }
            let slice =
                Self.takeLine(&buffer, limit: Self.sliceLimit)
                ?? buffer.readSlice(length: min(buffer.readableBytes, Self.sliceLimit)) ?? ByteBuffer()
            self.bodyBytes.raw += slice.readableBytes
            return .pass(slice)
        case .upgraded: return .pass(Self.takeAll(&buffer))
        case .failed:
            self.dropped += Self.takeAll(&buffer).readableBytes
            return self.dropped > Self.dropLimit ? .close : .wait
        }
    }

    private mutating func takeRequestLine(_ buffer: inout ByteBuffer) -> Step {
        let end = Self.takeLine(&buffer, limit: .max)
        self.line.writeImmutableBuffer(end ?? Self.takeAll(&buffer))
        guard self.line.readableBytes <= Self.lineLimit else { return self.refuse(.headerOverflow) }
        let bytes = self.line.readableBytesView
        guard end != nil else {
            let method = bytes.prefix { $0 != UInt8(ascii: " ") }
            // An empty line may come first (RFC 9112 §2.2).
            let isEmpty = bytes.elementsEqual([UInt8(ascii: "\r")])
            guard isEmpty || method.allSatisfy(RequestLine.isTokenByte) else { return self.refuse(.invalidConstant) }
            return method.count > Self.methodLimit ? self.refuse(.invalidMethod) : .wait
        }
        let whole = self.line
        self.line = ByteBuffer()
        if bytes.elementsEqual([UInt8(ascii: "\r"), UInt8(ascii: "\n")]) {
            self.emptyLines += 1
            return self.emptyLines > Self.emptyLineLimit ? self.refuse(.invalidConstant) : .pass(whole)
        }
        do throws(HTTPParserError) {
            try RequestLine.check(bytes)
        } catch {
            return self.refuse(error)
        }
        (self.state, self.emptyLines) = (.headers, 0)
        return .pass(whole)
    }

    private mutating func refuse(_ error: HTTPParserError) -> Step {
        self.state = .failed
        return .refuse(error)
    }

    // MARK: - What the parser reports

    /// The parser has read a head.
    mutating func receivedHead(_ head: HTTPRequestHead) {
        guard !self.hasFailed else { return }
        self.bodyBytes = (0, 0)
        self.isUpgrade = head.method == .CONNECT || head.headers.contains(name: "upgrade")
        if head.headers.contains(name: "transfer-encoding") {
            self.state = .chunkedBody
        } else {
            self.state = .body(head.headers["content-length"].first.flatMap { UInt64($0) } ?? 0)
        }
    }

    /// The parser has read bytes of a body.
    mutating func receivedBody(_ count: Int) { self.bodyBytes.content += count }

    /// The parser has read the end of a message.
    mutating func receivedEnd() {
        guard !self.hasFailed else { return }
        self.state = self.isUpgrade ? .upgraded : .requestLine
    }

    /// The request was refused, by the parser or by what follows it.
    mutating func failed() { self.state = .failed }

    private var hasFailed: Bool {
        if case .failed = self.state { true } else { false }
    }

    // MARK: - Slices

    /// The bytes up to and including the first line feed; nil when there is none within `limit` bytes.
    private static func takeLine(_ buffer: inout ByteBuffer, limit: Int) -> ByteBuffer? {
        let view = buffer.readableBytesView.prefix(limit)
        guard let end = view.firstIndex(of: UInt8(ascii: "\n")) else { return nil }
        return buffer.readSlice(length: end - view.startIndex + 1)
    }

    private static func takeAll(_ buffer: inout ByteBuffer) -> ByteBuffer {
        buffer.readSlice(length: buffer.readableBytes) ?? ByteBuffer()
    }
}
