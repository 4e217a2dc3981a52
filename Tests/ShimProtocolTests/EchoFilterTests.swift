import Testing

@testable import ShimProtocol

@Suite("EchoFilter")
struct EchoFilterTests {
    private static func findings(echo: String, _ output: String...) -> [Bool] {
        var filter = EchoFilter()
        filter.expect(Array(echo.utf8), of: [1])
        return output.map { filter.take(Array($0.utf8)).hasText }
    }

    @Test("an echo is found over every cut of the output")
    func cuts() {
        let output = Array("\u{1b}[7mhello\u{1b}[27m world\r\n!".utf8)
        for cut in 0...output.count {
            var filter = EchoFilter()
            filter.expect(Array("hello world".utf8), of: [1])
            let first = filter.take(Array(output[..<cut])).hasText
            let second = filter.take(Array(output[cut...])).hasText
            #expect(first == (cut == output.count) && second == (cut < output.count))
        }
    }

    @Test("an echo that is drawn again before its newline is an echo")
    func redrawn() {
        #expect(Self.findings(echo: "hello", "hello", "\r\u{1b}[Khello", "\r\n", "x") == [false, false, false, true])
    }

    @Test("after the echo's newline the same text is an answer")
    func repeated() {
        #expect(Self.findings(echo: "hello", "hello\r\n", "hello\r\n") == [false, true])
    }

    @Test("a newline inside an echo does not end it")
    func lines() {
        #expect(Self.findings(echo: "a\nb", "a\r\n", "b\r\n", "c") == [false, false, true])
    }

    @Test("where no echo is expected every character is an answer")
    func none() {
        #expect(Self.findings(echo: "", "x") == [true])
    }

    @Test("a string of the terminal's language is not text, and one without end is given up")
    func strings() {
        #expect(Self.findings(echo: "", "\u{1b}]2;title\u{1b}\\", "\u{1b}Pdata\u{1b}\\") == [false, false])
        #expect(Self.findings(echo: "", "\u{1b}]2;" + String(repeating: "x", count: 5000)) == [true])
    }

    @Test("control sequences are found apart from text")
    func sequence() {
        var filter = EchoFilter()
        #expect(filter.take(Array("\u{1b}[2J".utf8)) == EchoFilter.Finding(hasText: false, hasSequence: true))
        #expect(filter.take(Array("\r\n \t".utf8)) == EchoFilter.Finding(hasText: false, hasSequence: false))
    }

    @Test("an echo that is forgotten is text")
    func forgotten() {
        var filter = EchoFilter()
        filter.expect(Array("a".utf8), of: [1])
        filter.forget([1])
        #expect(filter.take([0x61]).hasText)
    }
}
