internal import NIOCore
internal import NIOWebSocket

/// The state of one WebSocket: decides about its frames and rates (RFC 6455). Knows neither the network nor a clock.
struct WebSocketConversation {
    /// What a frame amounts to.
    enum Event: Equatable {
        /// Nothing to do.
        case nothing
        /// A text message is complete; its bytes are valid UTF-8.
        case message([UInt8])
        /// To be answered by a pong with these bytes.
        case ping(ByteBuffer)
        /// The client closes; to be answered with this code.
        case close(WebSocketErrorCode)
    }

    /// Messages that are on their way to the terminal.
    var inFlight = 0
    /// Messages that were refused for their rate, less those accepted since.
    private(set) var refused = 0
    /// Messages that were refused for their rate and are in no row of the audit trail.
    private(set) var unrecorded = 0
    private var rate = MessageRate(burst: 10, perSecond: 10)
    /// Control frames cost little and are bounded nevertheless.
    private var controls = MessageRate(burst: 100, perSecond: 10)
    private var fragments: [UInt8]?
    private var fragmentCount = 0

    private static let messageLimit = 64 * 1024
    private static let fragmentLimit = 64
    private static let controlLimit = 125
    /// Refused messages after which the connection is closed.
    private static let refusalLimit = 50

    // MARK: - Frames

    /// Takes up a frame. Throws the reason to close for what RFC 6455 forbids, and for too many control frames.
    mutating func received(
        _ frame: WebSocketFrame, at now: ContinuousClock.Instant
    ) throws(WebSocketClosing) -> Event {
        guard frame.maskKey != nil, !frame.rsv1, !frame.rsv2, !frame.rsv3 else {
            throw WebSocketClosing(code: .protocolError)
        }
        let data = frame.unmaskedData
        switch frame.opcode {
        case .ping, .pong, .connectionClose:
            guard frame.fin, data.readableBytes <= Self.controlLimit else {
                throw WebSocketClosing(code: .protocolError)
            }
            if frame.opcode == .connectionClose {
                return .close(try Self.closeCode(Array(data.readableBytesView)))
            }
            guard self.controls.take(at: now) else { throw WebSocketClosing(code: .policyViolation) }
            return frame.opcode == .ping ? .ping(data) : .nothing
        case .text:
            guard self.fragments == nil else { throw WebSocketClosing(code: .protocolError) }
            self.fragments = Array(data.readableBytesView)
        case .continuation:
            guard self.fragments != nil else { throw WebSocketClosing(code: .protocolError) }
            self.fragments?.append(contentsOf: data.readableBytesView)
            self.fragmentCount += 1
        case .binary:
            // Inside a fragmented message it breaks the protocol; alone it is data that is not taken.
            throw WebSocketClosing(code: self.fragments == nil ? .unacceptableData : .protocolError)
        default: throw WebSocketClosing(code: .protocolError)
        }
        return try self.assembled(isFinal: frame.fin).map { .message($0) } ?? .nothing
    }

    /// The message when its last fragment has arrived.
    private mutating func assembled(isFinal: Bool) throws(WebSocketClosing) -> [UInt8]? {
        guard let whole = self.fragments, whole.count <= Self.messageLimit, self.fragmentCount <= Self.fragmentLimit
        else { throw WebSocketClosing(code: .messageTooLarge) }
        guard isFinal else { return nil }
        (self.fragments, self.fragmentCount) = (nil, 0)
        guard String(validating: whole, as: UTF8.self) != nil else {
            throw WebSocketClosing(code: .dataInconsistentWithMessage)
        }
        return whole
    }

    /// The code that answers a close frame with this payload: the client's own, or 1000 where it has none. Throws for a
    /// payload that RFC 6455 forbids (§5.5.1, §7.4).
    static func closeCode(_ payload: [UInt8]) throws(WebSocketClosing) -> WebSocketErrorCode {
        guard !payload.isEmpty else { return .normalClosure }
        guard payload.count >= 2 else { throw WebSocketClosing(code: .protocolError) }
        let number = Int(payload[0]) << 8 | Int(payload[1])
        switch number {
        // 1004 to 1006 are reserved; 1012 to 1014 are registered (IANA); from 3000 on they are the applications'.
        case 1000...1003, 1007...1014, 3000...4999: break
        default: throw WebSocketClosing(code: .protocolError)
        }
        guard String(validating: payload.dropFirst(2), as: UTF8.self) != nil else {
            throw WebSocketClosing(code: .dataInconsistentWithMessage)
        }
        return WebSocketErrorCode(codeNumber: number)
    }

    // MARK: - Rates

    /// Whether a message is within the rate.
    mutating func admitMessage(at now: ContinuousClock.Instant) -> Bool {
        guard self.rate.take(at: now) else {
            self.refused += 1
            self.unrecorded += 1
            return false
        }
        self.refused = max(0, self.refused - 1)
        return true
    }

    /// Too many messages were refused: the connection is to be closed.
    var isOverRefusalLimit: Bool { self.refused >= Self.refusalLimit }

    /// The number of refused messages that no row of the audit trail has; a row is written for them now.
    mutating func takeUnrecorded() -> Int {
        defer { self.unrecorded = 0 }
        return self.unrecorded
    }
}
