import Screens
import ShimProtocol
import Testing

@testable import Shim

@Suite("InputQueue")
struct InputQueueTests {
    private static let raw = TerminalSettings(isLineMode: false, isEchoing: false, isSignalling: false)
    private static let cbreak = TerminalSettings(isLineMode: false, isEchoing: false, isSignalling: true)

    private static func modes(_ output: String = "") -> TerminalModes {
        var screen = TerminalScreen(columns: 80, rows: 24)
        screen.feed(Array(output.utf8))
        return screen.modes
    }

    private static func text(_ text: String) -> InputQueue.Content { .text(Array(text.utf8)) }

    private static func keys(_ names: String...) throws -> InputQueue.Content { .keys(try TerminalKey.list(names)) }

    private static func isReady(
        _ queue: inout InputQueue, at now: UInt64, _ settings: TerminalSettings, isRead: Bool
    ) -> Bool {
        queue.isReady(at: now, settings, isRead: isRead)
    }

    private static func add(
        _ queue: inout InputQueue, _ content: InputQueue.Content, of source: InputQueue.Source
    ) -> Bool {
        queue.add(content, of: source)
    }

    /// Writes the next chunk whole; its text, and the message that it completes.
    private static func write(
        _ queue: inout InputQueue, _ modes: TerminalModes = modes(), at now: UInt64 = 0
    ) -> (text: String, completes: InputQueue.Source?) {
        _ = queue.begin(modes)
        let text = String(decoding: queue.rest, as: UTF8.self)
        return (text, queue.wrote(queue.rest.count, at: now))
    }

    @Test("text and its Enter are written one after the other, and only the Enter completes the message")
    func textAndEnter() {
        var queue = InputQueue()
        #expect(Self.add(&queue, Self.text("hello"), of: .message([1])))
        let first = Self.write(&queue)
        #expect(first.text == "hello" && first.completes == nil)
        let second = Self.write(&queue)
        #expect(second.text == "\r" && second.completes == .message([1]))
        #expect(queue.isEmpty)
    }

    @Test("a paste is marked as the program's mode is when its turn comes")
    func pasteMode() {
        var queue = InputQueue()
        _ = queue.add(Self.text("a"), of: .message([1]))
        #expect(Self.write(&queue, Self.modes("\u{1b}[?2004h")).text == "\u{1b}[200~a\u{1b}[201~")
        #expect(Self.write(&queue).text == "\r")
    }

    @Test("each key is a write of its own, encoded by the mode of the cursor keys")
    func keyChunks() throws {
        var queue = InputQueue()
        _ = queue.add(try Self.keys("Up", "Enter"), of: .message([1]))
        #expect(Self.write(&queue, Self.modes("\u{1b}[?1h")).text == "\u{1b}OA")
        let last = Self.write(&queue)
        #expect(last.text == "\r" && last.completes == .message([1]))
    }

    @Test("the Enter at the end of an owner's bytes is a write of its own, a lone one stays whole")
    func ownerBytes() {
        var queue = InputQueue()
        _ = queue.add(.bytes(Array("exit\r".utf8)), of: .prompt(1))
        _ = queue.add(.bytes([0x0D]), of: .prompt(2))
        #expect(Self.write(&queue).text == "exit")
        #expect(Self.write(&queue).completes == .prompt(1))
        #expect(Self.write(&queue).completes == .prompt(2))
    }

    @Test("beginning a message names it once")
    func began() {
        var queue = InputQueue()
        _ = queue.add(Self.text("a"), of: .message([1]))
        #expect(queue.begin(Self.modes())?.source == .message([1]))
        _ = queue.wrote(1, at: 0)
        #expect(queue.begin(Self.modes()) == nil)
        #expect(Array(queue.rest) == [0x0D])
    }

    @Test("without line mode a chunk waits until the program has read all before it")
    func waitsForReader() {
        var queue = InputQueue()
        _ = queue.add(Self.text("a"), of: .message([1]))
        #expect(!Self.isReady(&queue, at: 0, Self.raw, isRead: false))
        #expect(!Self.isReady(&queue, at: 1_000_000, Self.raw, isRead: false))
    }

    @Test("and a moment longer, counted from the last time that something was unread")
    func moment() {
        var queue = InputQueue()
        _ = queue.add(Self.text("a"), of: .message([1]))
        #expect(Self.isReady(&queue, at: 0, Self.raw, isRead: true))
        _ = Self.write(&queue, at: 100)
        #expect(!Self.isReady(&queue, at: 100, Self.raw, isRead: true))
        #expect(!Self.isReady(&queue, at: 120, Self.raw, isRead: false))
        #expect(!Self.isReady(&queue, at: 149, Self.raw, isRead: true))
        #expect(Self.isReady(&queue, at: 150, Self.raw, isRead: true))
    }

    @Test("in line mode nothing waits: the kernel keeps lines apart")
    func lineMode() {
        var queue = InputQueue()
        _ = queue.add(Self.text("a"), of: .message([1]))
        _ = Self.write(&queue, at: 100)
        #expect(Self.isReady(&queue, at: 100, .initial, isRead: false))
    }

    @Test("after a lone Escape the next key waits longer")
    func escape() throws {
        var queue = InputQueue()
        _ = queue.add(try Self.keys("Escape", "x"), of: .message([1]))
        _ = Self.write(&queue, at: 0)
        #expect(!Self.isReady(&queue, at: 199, Self.raw, isRead: true))
        #expect(Self.isReady(&queue, at: 200, Self.raw, isRead: true))
    }

    @Test(
        "a key that sends a signal does not wait for a program that does not read", arguments: ["C-c", "C-\\", "C-z"])
    func signalKey(name: String) throws {
        var queue = InputQueue()
        _ = queue.add(Self.text("stuck"), of: .message([1]))
        _ = Self.write(&queue)
        #expect(!Self.isReady(&queue, at: 0, Self.cbreak, isRead: false))
        _ = queue.add(try Self.keys(name), of: .message([2]))
        #expect(Self.isReady(&queue, at: 0, Self.cbreak, isRead: false))
    }

    @Test("where the terminal sends no signals, the same key waits like any other")
    func noSignals() throws {
        var queue = InputQueue()
        _ = queue.add(try Self.keys("C-c"), of: .message([1]))
        #expect(!Self.isReady(&queue, at: 0, Self.raw, isRead: false))
    }

    @Test("an answer of the terminal goes between two chunks and completes no message")
    func answer() {
        var queue = InputQueue()
        _ = queue.add(Self.text("a"), of: .message([1]))
        _ = Self.write(&queue)
        queue.insert(answer: [0x41])
        #expect(Array(queue.rest) == [0x41])
        #expect(queue.wrote(1, at: 0) == nil)
        #expect(Self.write(&queue).completes == .message([1]))
    }

    @Test("a chunk that is half written goes on where it was")
    func partial() {
        var queue = InputQueue()
        _ = queue.add(Self.text("hello"), of: .message([1]))
        _ = queue.begin(Self.modes())
        #expect(queue.wrote(2, at: 0) == nil)
        #expect(Array(queue.rest) == Array("llo".utf8))
        #expect(!queue.isEmpty)
    }

    @Test("messages are written in the order in which they came")
    func order() {
        var queue = InputQueue()
        for number in 1...3 { _ = queue.add(.bytes([UInt8(number)]), of: .prompt(UInt64(number))) }
        #expect((1...3).map { _ in Self.write(&queue).completes } == [.prompt(1), .prompt(2), .prompt(3)])
    }

    @Test("an owner's input that is sent again is known as waiting, then as written")
    func knowledge() {
        var queue = InputQueue()
        #expect(queue.knowledge(of: 1) == .new)
        _ = queue.add(Self.text("a"), of: .prompt(1))
        #expect(queue.knowledge(of: 1) == .waiting)
        _ = Self.write(&queue)
        #expect(queue.knowledge(of: 1) == .waiting)
        _ = Self.write(&queue)
        #expect(queue.knowledge(of: 1) == .written)
        #expect(queue.knowledge(of: 2) == .new)
    }

    @Test("a full queue takes no more, and has room again when a message is written")
    func bounded() {
        var queue = InputQueue()
        let half = InputQueue.Content.bytes([UInt8](repeating: 1, count: 512 * 1024))
        #expect(Self.add(&queue, half, of: .message([1])) && Self.add(&queue, half, of: .message([2])))
        #expect(!Self.add(&queue, .bytes([1]), of: .message([3])))
        _ = Self.write(&queue)
        #expect(Self.add(&queue, .bytes([1]), of: .message([3])))
    }
}
