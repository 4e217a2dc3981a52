import NIOCore
import NIOWebSocket
import Testing

@testable import API

@Suite("WebSocketConversation")
struct WebSocketConversationTests {
    private static func frame(
        _ opcode: WebSocketOpcode, _ bytes: [UInt8] = [], isFinal: Bool = true, isMasked: Bool = true
    ) -> WebSocketFrame {
        let key: WebSocketMaskingKey? = isMasked ? [1, 2, 3, 4] : nil
        var data = ByteBuffer(bytes: bytes)
        if let key { data.webSocketMask(key) }
        return WebSocketFrame(fin: isFinal, opcode: opcode, maskKey: key, data: data)
    }

    private static func text(_ text: String, isFinal: Bool = true) -> WebSocketFrame {
        Self.frame(.text, Array(text.utf8), isFinal: isFinal)
    }

    /// The code that the frames close with; nil when they do not.
    private static func closing(_ frames: [WebSocketFrame]) -> WebSocketErrorCode? {
        var conversation = WebSocketConversation()
        do {
            for frame in frames { _ = try conversation.received(frame, at: moment(0)) }
            return nil
        } catch {
            return error.code
        }
    }

    @Test("a text frame is a message")
    func message() throws {
        var conversation = WebSocketConversation()
        #expect(try conversation.received(Self.text("hi"), at: moment(0)) == .message(Array("hi".utf8)))
    }

    @Test("fragments are one message, also with control frames between them")
    func fragments() throws {
        var conversation = WebSocketConversation()
        #expect(try conversation.received(Self.text("a", isFinal: false), at: moment(0)) == .nothing)
        #expect(try conversation.received(Self.frame(.ping, [7]), at: moment(0)) == .ping(ByteBuffer(bytes: [7])))
        #expect(
            try conversation.received(Self.frame(.continuation, Array("b".utf8)), at: moment(0))
                == .message(Array("ab".utf8)))
        #expect(try conversation.received(Self.text("c"), at: moment(0)) == .message(Array("c".utf8)))
    }

    @Test("a character may be divided between fragments, and must be whole in the message")
    func divided() throws {
        var conversation = WebSocketConversation()
        _ = try conversation.received(Self.frame(.text, [0xc3], isFinal: false), at: moment(0))
        #expect(try conversation.received(Self.frame(.continuation, [0xa9]), at: moment(0)) == .message([0xc3, 0xa9]))
        #expect(Self.closing([Self.frame(.text, [0xc3])]) == .dataInconsistentWithMessage)
    }

    @Test("a frame without a mask breaks the protocol")
    func unmasked() { #expect(Self.closing([Self.frame(.text, [0x61], isMasked: false)]) == .protocolError) }

    @Test("a continuation of nothing breaks the protocol")
    func orphan() { #expect(Self.closing([Self.frame(.continuation, [0x61])]) == .protocolError) }

    @Test("a message inside a fragmented message breaks the protocol, text or binary")
    func nested() {
        #expect(Self.closing([Self.text("a", isFinal: false), Self.text("b")]) == .protocolError)
        #expect(Self.closing([Self.text("a", isFinal: false), Self.frame(.binary, [1])]) == .protocolError)
    }

    @Test("a binary message alone is data that is not taken")
    func binary() { #expect(Self.closing([Self.frame(.binary, [1])]) == .unacceptableData) }

    @Test("an opcode that is not defined breaks the protocol")
    func opcode() throws {
        let opcode = try #require(WebSocketOpcode(encodedWebSocketOpcode: 3))
        #expect(Self.closing([Self.frame(opcode)]) == .protocolError)
    }

    @Test(
        "a control frame has at most 125 bytes and is never fragmented",
        arguments: [WebSocketOpcode.ping, .pong, .connectionClose])
    func controls(opcode: WebSocketOpcode) {
        #expect(Self.closing([Self.frame(opcode, [UInt8](repeating: 0x61, count: 126))]) == .protocolError)
        #expect(Self.closing([Self.frame(opcode, isFinal: false)]) == .protocolError)
    }

    @Test("a message has at most 64 KiB, in one frame or in many")
    func size() {
        let half = [UInt8](repeating: 0x61, count: 32 * 1024 + 1)
        #expect(Self.closing([Self.frame(.text, half + half)]) == .messageTooLarge)
        #expect(
            Self.closing([Self.frame(.text, half, isFinal: false), Self.frame(.continuation, half)]) == .messageTooLarge
        )
        #expect(Self.closing([Self.frame(.text, half, isFinal: false)]) == nil)
    }

    @Test("a message has at most 64 continuations, however small")
    func manyFragments() {
        let frames = [Self.text("a", isFinal: false)] + (0..<65).map { _ in Self.frame(.continuation, isFinal: false) }
        #expect(Self.closing(frames) == .messageTooLarge)
        #expect(Self.closing(frames.dropLast()) == nil)
    }

    @Test("pings and pongs count together: a hundred at once, then ten a second")
    func controlRate() throws {
        var conversation = WebSocketConversation()
        for number in 0..<100 {
            _ = try conversation.received(Self.frame(number % 2 == 0 ? .ping : .pong), at: moment(0))
        }
        #expect(throws: WebSocketClosing(code: .policyViolation)) {
            try conversation.received(Self.frame(.pong), at: moment(0))
        }
        #expect(try conversation.received(Self.frame(.pong), at: moment(100)) == .nothing)
    }

    // MARK: - Closing

    @Test("a close without a code is answered with 1000, one with a code with that code")
    func closes() throws {
        #expect(try WebSocketConversation.closeCode([]) == .normalClosure)
        for number in [1000, 1001, 1003, 1007, 1011, 1014, 3000, 4999] {
            let payload = [UInt8(number >> 8), UInt8(number & 255)] + Array("bye".utf8)
            #expect(try WebSocketConversation.closeCode(payload) == WebSocketErrorCode(codeNumber: number))
        }
    }

    @Test(
        "a close with a code that is reserved or impossible breaks the protocol",
        arguments: [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535])
    func impossibleCodes(number: Int) {
        #expect(throws: WebSocketClosing(code: .protocolError)) {
            try WebSocketConversation.closeCode([UInt8(number >> 8), UInt8(number & 255)])
        }
    }

    @Test("a close with one byte breaks the protocol")
    func oneByte() {
        #expect(throws: WebSocketClosing(code: .protocolError)) { try WebSocketConversation.closeCode([3]) }
    }

    @Test("a close whose reason is not UTF-8 is inconsistent data")
    func reason() {
        #expect(throws: WebSocketClosing(code: .dataInconsistentWithMessage)) {
            try WebSocketConversation.closeCode([3, 0xe8, 0xff, 0xfe])
        }
    }

    @Test("a close frame is judged by its payload")
    func closeFrame() throws {
        var conversation = WebSocketConversation()
        #expect(
            try conversation.received(Self.frame(.connectionClose, [3, 0xe9]), at: moment(0)) == .close(.goingAway))
        #expect(Self.closing([Self.frame(.connectionClose, [0, 0])]) == .protocolError)
    }

    // MARK: - Rates

    @Test("of eleven messages at once the eleventh is refused, and a tenth of a second later one passes")
    func rate() {
        var conversation = WebSocketConversation()
        let passed = (0..<11).map { _ in conversation.admitMessage(at: moment(0)) }
        #expect(passed == [Bool](repeating: true, count: 10) + [false])
        #expect(conversation.admitMessage(at: moment(100)) == true)
    }

    @Test("fifty refusals are too many, and each message that passes makes up for one")
    func refusals() {
        var conversation = WebSocketConversation()
        for _ in 0..<59 { _ = conversation.admitMessage(at: moment(0)) }
        #expect(!conversation.isOverRefusalLimit)
        _ = conversation.admitMessage(at: moment(100))
        _ = conversation.admitMessage(at: moment(100))
        #expect(conversation.refused == 49 && !conversation.isOverRefusalLimit)
        _ = conversation.admitMessage(at: moment(100))
        #expect(conversation.isOverRefusalLimit)
    }

    @Test("messages that were refused for their rate are counted for the audit trail once")
    func unrecorded() {
        var conversation = WebSocketConversation()
        for _ in 0..<40 { _ = conversation.admitMessage(at: moment(0)) }
        #expect(conversation.takeUnrecorded() == 30)
        #expect(conversation.takeUnrecorded() == 0)
    }
}

@Suite("MessageRate")
struct MessageRateTests {
    @Test("a burst passes at once, and what follows at the rate")
    func burst() {
        var rate = MessageRate(burst: 2, perSecond: 4)
        let passed = [0, 0, 0, 200, 300, 400, 600].map { rate.take(at: moment($0)) }
        #expect(passed == [true, true, false, false, true, false, true])
    }

    @Test("silence saves up no more than the burst")
    func silence() {
        var rate = MessageRate(burst: 2, perSecond: 4)
        #expect((0..<4).map { _ in rate.take(at: moment(1_000_000)) } == [true, true, false, false])
    }

    @Test("a clock that goes back gives nothing")
    func backwards() {
        var rate = MessageRate(burst: 1, perSecond: 1000)
        #expect(rate.take(at: moment(1000)) == true)
        #expect(rate.take(at: moment(0)) == false)
    }
}
