internal import NIOCore
internal import NIOWebSocket

/// What is remembered of one connection; decides about frames and rates, and knows nothing of the network.
struct WebSocketConversation {
    var rate = MessageRate(burst: 10, perSecond: 10)
    /// Control frames cost little and are bounded all the same.
    private var controls = MessageRate(burst: 100, perSecond: 10)
    var refused = 0
    var inFlight = 0
    private var fragments: [UInt8]?
    private var fragmentCount = 0

    private static let messageLimit = 64 * 1024
    private static let fragmentLimit = 64

    mutating func countControl() throws {
        guard self.controls.take(at: .now) else { throw TerminalSocket.Closing(code: .policyViolation) }
    }

    /// A whole message when the frame ends one; throws for what RFC 6455 forbids.
    mutating func take(_ frame: WebSocketFrame) throws -> [UInt8]? {
        guard frame.maskKey != nil, !frame.rsv1, !frame.rsv2, !frame.rsv3 else {
            throw TerminalSocket.Closing(code: .protocolError)
        }
        let data = Array(frame.unmaskedData.readableBytesView)
        switch frame.opcode {
        case .ping, .pong, .connectionClose:
            guard frame.fin, data.count <= 125 else { throw TerminalSocket.Closing(code: .protocolError) }
            return nil
        case .text:
            guard self.fragments == nil else { throw TerminalSocket.Closing(code: .protocolError) }
            self.fragments = data
        case .continuation:
            guard self.fragments != nil else { throw TerminalSocket.Closing(code: .protocolError) }
            self.fragments?.append(contentsOf: data)
            self.fragmentCount += 1
        case .binary: throw TerminalSocket.Closing(code: .unacceptableData)
        default: throw TerminalSocket.Closing(code: .protocolError)
        }
        guard let whole = self.fragments, whole.count <= Self.messageLimit, self.fragmentCount <= Self.fragmentLimit
        else { throw TerminalSocket.Closing(code: .messageTooLarge) }
        guard frame.fin else { return nil }
        (self.fragments, self.fragmentCount) = (nil, 0)
        guard String(validating: whole, as: UTF8.self) != nil else {
            throw TerminalSocket.Closing(code: .dataInconsistentWithMessage)
        }
        return whole
    }
}

/// So many at once, and so many more each second.
struct MessageRate: Sendable {
    private let burst: Double
    private let perSecond: Double
    private var tokens: Double
    private var last: ContinuousClock.Instant?

    init(burst: Double, perSecond: Double) {
        self.burst = burst
        self.perSecond = perSecond
        self.tokens = burst
    }

    mutating func take(at now: ContinuousClock.Instant) -> Bool {
        if let last = self.last {
            let passed = last.duration(to: now).components
            let seconds = Double(passed.seconds) + Double(passed.attoseconds) / 1e18
            self.tokens = min(self.burst, self.tokens + max(0, seconds) * self.perSecond)
        }
        self.last = now
        guard self.tokens >= 1 else { return false }
        self.tokens -= 1
        return true
    }
}
