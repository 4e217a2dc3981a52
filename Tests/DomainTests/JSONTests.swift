import Domain
import Testing

@Suite("JSON")
struct JSONTests {
    @Test(
        "valid documents are read and written back the same",
        arguments: [
            "null", "true", "[]", "{}", "[1,-2,0]", #"{"a":{"b":[1.5,"x"]}}"#, #""\"\\\n""#, "9223372036854775807",
        ])
    func roundTrip(text: String) throws {
        #expect(try JSONParser.parse(Array(text.utf8)).text == text)
    }

    @Test(
        "what RFC 8259 forbids is refused",
        arguments: [
            "", "{", "[1,]", "{\"a\":1,}", "{a:1}", "'a'", "01", "+1", "1.", ".5", "1e", "nul", "\"\u{01}\"", "\"\\x\"",
            "\"\\ud800\"", "[1] 2", "{\"a\":1 \"b\":2}", "\"abc", "1e999", "\u{feff}{}", "NaN",
        ])
    func invalid(text: String) {
        #expect(throws: DomainError.self) { try JSONParser.parse(Array(text.utf8)) }
    }

    @Test("duplicate members are refused, also when one is escaped")
    func duplicates() {
        #expect(throws: DomainError.self) { try JSONParser.parse(Array(#"{"a":1,"\u0061":2}"#.utf8)) }
    }

    @Test("broken UTF-8 is refused")
    func brokenText() {
        #expect(throws: DomainError.self) { try JSONParser.parse([0x22, 0xc3, 0x28, 0x22]) }
    }

    @Test("depth is bounded: 100,000 brackets are an error, not a crash")
    func depth() {
        #expect(throws: DomainError.self) { try JSONParser.parse(Array(repeating: UInt8(ascii: "["), count: 100_000)) }
    }

    @Test("surrogate pairs become one scalar")
    func surrogates() throws {
        #expect(try JSONParser.parse(Array(#""\ud83d\ude00""#.utf8)) == .string("😀"))
    }

    @Test("a written text is always one line")
    func oneLine() {
        let bytes = JSONValue.string("a\nb\r\u{1b}[31m\u{7f}").bytes
        #expect(!bytes.contains { $0 < 0x20 || $0 == 0x7f })
    }
}
