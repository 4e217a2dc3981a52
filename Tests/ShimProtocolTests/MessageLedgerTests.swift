import Testing

@testable import ShimProtocol

@Suite("MessageLedger")
struct MessageLedgerTests {
    /// A ledger with one message that the program has read.
    private static func consumed(echo: String, isAnsweredBySequences: Bool = false) -> MessageLedger {
        var ledger = MessageLedger()
        _ = ledger.queue([1], at: 0)
        ledger.began([1], echo: Array(echo.utf8), isAnsweredBySequences: isAnsweredBySequences)
        _ = ledger.written([1], at: 1)
        _ = ledger.inputIsEmpty(at: 2)
        return ledger
    }

    private static func stages(_ ledger: inout MessageLedger, _ output: String) -> [MessageLedger.Stage] {
        ledger.output(Array(output.utf8), at: 9).map(\.stage)
    }

    @Test("a message goes from stage to stage, each receipt once, and is known by its key afterwards")
    func stages() throws {
        var ledger = MessageLedger()
        #expect(ledger.known([1]) == nil)
        #expect(ledger.queue([1], at: 5)?.stage == .queued)
        #expect(ledger.inputIsEmpty(at: 6).isEmpty)
        #expect(ledger.written([1], at: 6)?.stage == .written)
        #expect(ledger.written([1], at: 6) == nil)
        #expect(ledger.output([0x61], at: 7).isEmpty)
        #expect(ledger.queue([2], at: 7)?.stage == .queued)
        #expect(ledger.inputIsEmpty(at: 8).map(\.key) == [[1]])
        #expect(ledger.inputIsEmpty(at: 8).isEmpty)
        #expect(ledger.output([0x61], at: 9) == [MessageLedger.Receipt(key: [1], stage: .answered, offset: 9)])
        #expect(ledger.known([1])?.stage == .answered)
        #expect(ledger.known([2])?.stage == .queued)
    }

    @Test("memory is bounded: answered messages are dropped, those that wait never")
    func bounds() throws {
        var ledger = MessageLedger()
        func key(_ number: Int) -> [UInt8] { [UInt8(number >> 8), UInt8(number & 0xFF)] }
        for number in 0..<MessageLedger.limit { #expect(ledger.queue(key(number), at: 0) != nil) }
        #expect(ledger.queue(key(5000), at: 0) == nil)
        _ = ledger.written(key(7), at: 1)
        _ = ledger.inputIsEmpty(at: 1)
        _ = ledger.output([0x61], at: 2)
        #expect(ledger.queue(key(5000), at: 2)?.stage == .queued)
        #expect(ledger.known(key(7)) == nil)
        #expect(ledger.known(key(0))?.stage == .queued)
    }

    @Test("the echo of a message is not its answer, and what follows is")
    func echo() {
        var ledger = Self.consumed(echo: "second message")
        #expect(Self.stages(&ledger, "second mes").isEmpty)
        #expect(Self.stages(&ledger, "sage\r\n").isEmpty)
        #expect(Self.stages(&ledger, "SUBMITTED") == [.answered])
    }

    @Test("an echo with an answer in the same read is an answer")
    func echoAndAnswer() {
        var ledger = Self.consumed(echo: "ls")
        #expect(Self.stages(&ledger, "ls\r\nfile\r\n$ ") == [.answered])
    }

    @Test("newlines, blanks and control sequences alone do not answer a text")
    func sequences() {
        var ledger = Self.consumed(echo: "sleep 9")
        #expect(Self.stages(&ledger, "\r\n\u{1b}[?2004l\r\u{1b}]0;title\u{07} \u{1b}(B").isEmpty)
        #expect(ledger.known([1])?.stage == .consumed)
    }

    @Test("a movement of the cursor answers a key")
    func keyAnswer() {
        var ledger = Self.consumed(echo: "^[[B", isAnsweredBySequences: true)
        #expect(Self.stages(&ledger, "^[[B").isEmpty)
        #expect(Self.stages(&ledger, "\u{1b}[2;1H") == [.answered])
    }

    @Test("an answer before the program has read the message is not its answer")
    func early() {
        var ledger = MessageLedger()
        _ = ledger.queue([1], at: 0)
        ledger.began([1], echo: [])
        #expect(Self.stages(&ledger, "noise").isEmpty)
        _ = ledger.written([1], at: 1)
        #expect(Self.stages(&ledger, "noise").isEmpty)
        _ = ledger.inputIsEmpty(at: 2)
        #expect(Self.stages(&ledger, "answer") == [.answered])
    }

    @Test("the echo of a later message does not answer an earlier one")
    func laterEcho() {
        var ledger = Self.consumed(echo: "one")
        _ = ledger.queue([2], at: 2)
        ledger.began([2], echo: Array("two".utf8))
        #expect(Self.stages(&ledger, "one\r\ntwo\r\n").isEmpty)
        #expect(ledger.output(Array("x".utf8), at: 9).map(\.key) == [[1]])
    }

    @Test("it waits for the reader only while a message is written and not read")
    func waiting() {
        var ledger = MessageLedger()
        _ = ledger.queue([1], at: 0)
        #expect(!ledger.isWaitingForReader)
        _ = ledger.written([1], at: 0)
        #expect(ledger.isWaitingForReader)
        _ = ledger.inputIsEmpty(at: 0)
        #expect(!ledger.isWaitingForReader)
    }

    @Test("a message that is not queued cannot begin or be written")
    func unknown() {
        var ledger = MessageLedger()
        ledger.began([9], echo: [])
        #expect(ledger.written([9], at: 0) == nil)
        #expect(ledger.known([9]) == nil)
    }
}
