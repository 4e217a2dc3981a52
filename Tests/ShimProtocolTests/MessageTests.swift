import Domain
import ShimProtocol
import Testing

@Suite("Messages to agents")
struct MessageTests {
    @Test("a message goes from stage to stage, each receipt once, and is known by its key afterwards")
    func stages() throws {
        var ledger = MessageLedger()
        #expect(ledger.known([1]) == nil)
        #expect(ledger.queue([1], at: 5)?.stage == .queued)
        #expect(ledger.inputIsEmpty(at: 6).isEmpty)
        #expect(ledger.written([1], at: 6)?.stage == .written)
        #expect(ledger.written([1], at: 6) == nil)
        #expect(ledger.output(at: 7).isEmpty)
        #expect(ledger.queue([2], at: 7)?.stage == .queued)
        #expect(ledger.inputIsEmpty(at: 8).map(\.key) == [[1]])
        #expect(ledger.inputIsEmpty(at: 8).isEmpty)
        #expect(ledger.output(at: 9) == [MessageLedger.Receipt(key: [1], stage: .answered, offset: 9)])
        #expect(ledger.known([1])?.stage == .answered)
        #expect(ledger.known([2])?.stage == .queued)
    }

    @Test("what is remembered is bounded: answered messages are forgotten, those that wait are never")
    func bounds() throws {
        var ledger = MessageLedger()
        func key(_ number: Int) -> [UInt8] { [UInt8(number >> 8), UInt8(number & 0xFF)] }
        for number in 0..<MessageLedger.limit { #expect(ledger.queue(key(number), at: 0) != nil) }
        #expect(ledger.queue(key(5000), at: 0) == nil)
        _ = ledger.written(key(7), at: 1)
        _ = ledger.inputIsEmpty(at: 1)
        _ = ledger.output(at: 2)
        #expect(ledger.queue(key(5000), at: 2)?.stage == .queued)
        #expect(ledger.known(key(7)) == nil)
        #expect(ledger.known(key(0))?.stage == .queued)
    }

    @Test(
        "no text can end a paste early or drive the terminal",
        arguments: ["a\u{1b}[201~b", "\u{03}\u{04}\u{9b}x", "x\r\ny\tz"])
    func cleaned(text: String) {
        let bytes = TypedText.bytes(TypedText.cleaned(text), isPasteMarked: true)
        #expect(bytes.starts(with: Array("\u{1b}[200~".utf8)) && bytes.suffix(7) == Array("\u{1b}[201~\r".utf8)[...])
        let inner = bytes.dropFirst(6).dropLast(7)
        #expect(inner.allSatisfy { $0 >= 0x20 && $0 != 0x7F || $0 == 0x0A || $0 == 0x09 })
    }

    @Test("without marks each line is entered, and the longest is found")
    func lines() {
        #expect(TypedText.bytes(Array("a\nb".utf8), isPasteMarked: false) == Array("a\rb\r".utf8))
        #expect(TypedText.longestLine(of: Array("ab\rabc\n".utf8)) == 3)
        #expect(TypedText.longestLine(of: []) == 0)
    }

    @Test("the wish for marked pastes is seen over every cut of the output")
    func pasteMode() {
        let output = Array("x\u{1b}[?2004h\u{1b}\u{1b}[?2004".utf8)
        for cut in 0...output.count {
            var scanner = PasteModeScanner()
            scanner.scan(Array(output[..<cut]))
            scanner.scan(Array(output[cut...]))
            #expect(scanner.isMarked)
            scanner.scan(Array("l".utf8))
            #expect(!scanner.isMarked)
        }
    }

    @Test("events are numbered lines of JSON over every cut; others are counted, and memory is bounded")
    func events() {
        let bytes = Array("{\"a\":1}\nno\n\n{\"b\":2}\n{\"c\"".utf8)
        for cut in 0...bytes.count {
            var log = EventLog()
            let new = log.take(Array(bytes[..<cut]), at: 3) + log.take(Array(bytes[cut...]), at: 4)
            #expect(new.map(\.number) == [1, 2])
            #expect(new.map { String(decoding: $0.line, as: UTF8.self) } == ["{\"a\":1}", "{\"b\":2}"])
            #expect(log.refused == 1)
        }
        var log = EventLog()
        let line = [UInt8(ascii: "{")] + [UInt8](repeating: 0x20, count: 10_000) + Array("}\n".utf8)
        for _ in 0..<100 { _ = log.take(line, at: 0) }
        #expect(log.lastNumber == 100 && log.events.reduce(0) { $0 + $1.line.count } <= EventLog.keptBytes * 5 / 4)
        #expect(log.after(98).map(\.number) == [99, 100])
        _ = log.take([UInt8](repeating: 0x7B, count: EventLog.longestLine * 2) + [0x0A], at: 0)
        #expect(log.lastNumber == 100 && log.refused == 1)
    }

    @Test("times of a log survive their encoding; half a pair is left out")
    func timing() {
        let bytes = LogTiming.pair(milliseconds: 70_000, count: 3) + LogTiming.pair(milliseconds: .max, count: 1 << 20)
        let pairs = LogTiming.pairs(bytes + [0, 0, 0])
        #expect(pairs.map(\.milliseconds) == [70_000, UInt64(UInt32.max)])
        #expect(pairs.map(\.count) == [3, 1 << 20])
    }

    @Test("what the guard is told survives its encoding, and any cut of it is an error")
    func guardSpec() throws {
        let spec = GuardSpec(
            task: .run, isTerminal: true, lastDescriptor: 3, directory: "/workspace", environment: ["A": "b", "C": ""],
            argv: ["/bin/true", "x"], isNamespaced: true,
            namespaces: [GuardSpec.Namespace(name: "net", link: "net:[1]")], mounts: ["/"],
            sizes: [GuardSpec.SizedDirectory(path: "/tmp", size: 7)],
            ownUser: GuardSpec.OwnUser(inside: 1000, outside: 200_001), handedOver: ["/home/agent"],
            ownsDescriptors: true, allowsUnixSockets: true, sharedTree: "/workspace", madeDirectories: [],
            isLandlocked: true, rules: [GuardSpec.Rule("/", .read)],
            filter: [1, 2], processLimit: 1, openFileLimit: 2, fileSizeLimit: 3, memoryLimit: 4)
        #expect(try GuardSpec(decoding: spec.encoded) == spec)
        for length in 0..<spec.encoded.count {
            #expect(throws: DomainError.self) { try GuardSpec(decoding: Array(spec.encoded.prefix(length))) }
        }
        #expect(throws: DomainError.self) { try GuardSpec(decoding: spec.encoded + [0]) }
    }
}
