import Domain
import Testing

/// RFC 8259, rule by rule.
@Suite("JSONParser")
struct JSONParserTests {
    private func parse(_ text: String, depthLimit: Int = 32) throws -> JSONValue {
        try JSONParser.parse(Array(text.utf8), depthLimit: depthLimit)
    }

    private func message(_ text: String) -> String? {
        do {
            _ = try self.parse(text)
            return nil
        } catch { return (error as? DomainError)?.message }
    }

    // MARK: - Documents

    @Test(
        "each kind of value may be the document",
        arguments: [
            ("null", JSONValue.null), ("true", .bool(true)), ("false", .bool(false)), ("7", .integer(7)),
            ("7.5", .number(7.5)), (#""x""#, .string("x")), ("[]", .array([])), ("{}", .object([])),
        ])
    func kinds(text: String, value: JSONValue) throws { #expect(try self.parse(text) == value) }

    @Test("the four blanks may stand around every token", arguments: [" ", "\t", "\n", "\r", " \t\r\n "])
    func blanks(blank: String) throws {
        let text = ["", "[", "1", ",", "{", "\"a\"", ":", "null", "}", "]", ""].joined(separator: blank)
        #expect(try self.parse(text) == [1, ["a": nil]])
    }

    @Test("other blanks are refused", arguments: ["\u{0b}", "\u{0c}", "\u{a0}", "\u{2028}", "\u{feff}", "\u{0}"])
    func otherBlanks(blank: String) {
        #expect(throws: DomainError.self) { try self.parse(blank + "1") }
        #expect(throws: DomainError.self) { try self.parse("1" + blank) }
    }

    @Test("an empty document is refused", arguments: ["", " ", "\n"])
    func empty(text: String) { #expect(throws: DomainError.self) { try self.parse(text) } }

    @Test("nothing may follow the document", arguments: ["1 2", "{} {}", "[]]", "null,", "\"a\"b", "1}", "true false"])
    func trailing(text: String) { #expect(throws: DomainError.self) { try self.parse(text) } }

    @Test("comments are refused", arguments: ["1 // x", "/* x */ 1", "[1, # x\n2]"])
    func comments(text: String) { #expect(throws: DomainError.self) { try self.parse(text) } }

    @Test("an error names its place")
    func offset() {
        #expect(self.message("[1,]")?.contains("at byte 3") == true)
        #expect(self.message(#"{"a" 1}"#)?.contains("at byte 5") == true)
        #expect(self.message("[1] x")?.contains("at byte 4") == true)
    }

    @Test("an error's code says that it is about JSON")
    func code() {
        let error = #expect(throws: DomainError.self) { try self.parse("{") }
        #expect(error?.code == .invalidJSON)
    }

    // MARK: - Literals

    @Test(
        "literals are lower-case and whole",
        arguments: [
            "True", "NULL", "nul", "nulll", "t", "fals", "falsey", "undefined", "NaN", "Infinity", "-Infinity",
        ])
    func literals(text: String) { #expect(throws: DomainError.self) { try self.parse(text) } }

    // MARK: - Numbers

    @Test(
        "integers of 64 bits stay exact",
        arguments: [
            ("0", Int64(0)), ("-0", 0), ("-1", -1), ("9007199254740993", 9_007_199_254_740_993),
            ("9223372036854775807", .max), ("-9223372036854775808", .min),
        ])
    func integers(text: String, value: Int64) throws { #expect(try self.parse(text) == .integer(value)) }

    @Test(
        "integers of more bits, fractions and exponents are numbers",
        arguments: [
            ("9223372036854775808", 9_223_372_036_854_775_808.0),
            ("-9223372036854775809", -9_223_372_036_854_775_809.0),
            ("1.0", 1), ("-0.5", -0.5), ("1e3", 1000), ("1E3", 1000), ("1e+3", 1000), ("25e-1", 2.5), ("0e0", 0),
            ("1.5e300", 1.5e300), ("5e-324", .leastNonzeroMagnitude), ("1e-999", 0),
        ])
    func numbers(text: String, value: Double) throws { #expect(try self.parse(text) == .number(value)) }

    @Test(
        "other spellings of numbers are refused",
        arguments: [
            "+1", "01", "-01", "00", "-", "1.", ".5", "-.5", "1e", "1e+", "1E-", "1.e1", "0x10", "1_000", "1,0", "--1",
            "1-",
            "1 .5", "٣", "1e1.5", "1e5e5",
        ])
    func malformedNumbers(text: String) { #expect(throws: DomainError.self) { try self.parse(text) } }

    @Test("a number that no double holds is refused", arguments: ["1e999", "-1e999", "1e309"])
    func outOfRange(text: String) { #expect(throws: DomainError.self) { try self.parse(text) } }

    @Test("a number of more than 64 characters is refused")
    func longNumber() throws {
        #expect(
            try self.parse(String(repeating: "1", count: 64)) == .number(Double(String(repeating: "1", count: 64)) ?? 0)
        )
        #expect(throws: DomainError.self) { try self.parse(String(repeating: "1", count: 65)) }
    }

    // MARK: - Texts

    @Test(
        "each short escape is its character",
        arguments: [
            (#"\""#, "\""), (#"\\"#, "\\"), (#"\/"#, "/"), (#"\b"#, "\u{08}"), (#"\f"#, "\u{0c}"), (#"\n"#, "\n"),
            (#"\r"#, "\r"), (#"\t"#, "\t"),
        ])
    func escapes(escape: String, character: String) throws {
        #expect(try self.parse("\"a\(escape)b\"") == .string("a\(character)b"))
    }

    @Test(
        "a hexadecimal escape is its scalar, in either case",
        arguments: [
            (#"\u0041"#, "A"), (#"\u00e9"#, "é"), (#"\u00E9"#, "é"), (#"\u20ac"#, "€"), (#"\u0000"#, "\u{0}"),
            (#"\uffff"#, "\u{ffff}"), (#"\ud7ff"#, "\u{d7ff}"), (#"\ue000"#, "\u{e000}"),
        ])
    func hexadecimal(escape: String, character: String) throws {
        #expect(try self.parse("\"\(escape)\"") == .string(character))
    }

    @Test(
        "a surrogate pair is one scalar",
        arguments: [
            (#"\ud800\udc00"#, "\u{10000}"), (#"\ud83d\ude00"#, "😀"), (#"\udbff\udfff"#, "\u{10ffff}"),
        ])
    func surrogates(escape: String, character: String) throws {
        #expect(try self.parse("\"\(escape)\"") == .string(character))
    }

    @Test(
        "half a surrogate pair is refused",
        arguments: [
            #"\ud800"#, #"\udbff"#, #"\udc00"#, #"\udfff"#, #"\ud800\u0041"#, #"\ud800\ud800"#, #"\ud800x"#,
            #"\ud800\n"#,
            #"\udc00\ud800"#,
        ])
    func halfSurrogates(escape: String) { #expect(throws: DomainError.self) { try self.parse("\"\(escape)\"") } }

    @Test(
        "other escapes are refused",
        arguments: [
            #"\x41"#, #"\a"#, #"\0"#, #"\'"#, #"\U0041"#, #"\u"#, #"\u004"#, #"\u00g1"#, #"\u 041"#, #"\u+041"#,
        ])
    func otherEscapes(escape: String) { #expect(throws: DomainError.self) { try self.parse("\"\(escape)\"") } }

    @Test("control characters must be escaped", arguments: 0..<UInt8(0x20))
    func controlCharacters(byte: UInt8) {
        #expect(throws: DomainError.self) { try JSONParser.parse([0x22, 0x61, byte, 0x22]) }
    }

    @Test(
        "all other characters may stand for themselves",
        arguments: ["é", "€", "😀", "\u{7f}", "\u{85}", "\u{2028}", "'", "/"])
    func plain(text: String) throws { #expect(try self.parse("\"\(text)\"") == .string(text)) }

    @Test("a text must be closed", arguments: [#"""#, #""a"#, #""a\"#, #""a\""#, #""\u12"#])
    func unclosed(text: String) { #expect(throws: DomainError.self) { try self.parse(text) } }

    @Test("single quotes and bare words are refused", arguments: ["'a'", "a", "{a:1}", "{'a':1}", "[a]"])
    func quotes(text: String) { #expect(throws: DomainError.self) { try self.parse(text) } }

    @Test(
        "bytes that are not UTF-8 are refused",
        arguments: [
            [0x80], [0xc3], [0xc3, 0x28], [0xc0, 0xaf], [0xe2, 0x82], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80],
            [0xff],
            [0xfe, 0xff],
        ] as [[UInt8]])
    func encoding(bytes: [UInt8]) {
        #expect(throws: DomainError.self) { try JSONParser.parse([0x22] + bytes + [0x22]) }
    }

    // MARK: - Arrays and objects

    @Test("elements and members keep their order")
    func order() throws {
        #expect(try self.parse(#"{"b":[3,1,2],"a":null}"#) == ["b": [3, 1, 2], "a": nil])
    }

    @Test(
        "commas separate, and none may be missing, doubled, first or last",
        arguments: [
            "[1 2]", "[,1]", "[1,]", "[1,,2]", "[,]", #"{"a":1 "b":2}"#, #"{"a":1,}"#, #"{,"a":1}"#, #"{"a":1,,"b":2}"#,
            "{,}",
        ])
    func commas(text: String) { #expect(throws: DomainError.self) { try self.parse(text) } }

    @Test(
        "a member is a text, a colon and a value",
        arguments: [
            #"{"a"}"#, #"{"a":}"#, #"{:1}"#, #"{"a"::1}"#, #"{"a",1}"#, #"{1:1}"#, #"{null:1}"#, #"{["a"]:1}"#,
            #"{"a"=1}"#,
        ])
    func members(text: String) { #expect(throws: DomainError.self) { try self.parse(text) } }

    @Test(
        "brackets close what they opened", arguments: ["[", "{", "[1", #"{"a":1"#, "[}", "{]", #"[{"a":1]"#, "]", "}"])
    func brackets(text: String) { #expect(throws: DomainError.self) { try self.parse(text) } }

    @Test(
        "a member that occurs twice is refused, however its name is spelled",
        arguments: [
            #"{"a":1,"a":1}"#, #"{"a":1,"b":2,"a":3}"#, #"{"a":1,"\u0061":2}"#, #"{"":1,"":2}"#,
        ])
    func duplicates(text: String) { #expect(throws: DomainError.self) { try self.parse(text) } }

    @Test("a member that occurs twice among many is refused", arguments: [7, 8, 9, 30])
    func duplicatesAmongMany(count: Int) throws {
        let members = (0..<count).map { "\"m\($0)\":0" }
        #expect(try self.parse("{" + members.joined(separator: ",") + "}").members?.count == count)
        for name in [0, count - 1] {
            let text = "{" + (members + ["\"m\(name)\":1"]).joined(separator: ",") + "}"
            #expect(throws: DomainError.self) { try self.parse(text) }
        }
    }

    @Test("names that only look alike, or belong to another object, are different")
    func differentNames() throws {
        #expect(try self.parse(#"{"a":{"a":1},"A":2,"a ":3}"#).members?.count == 3)
        // One scalar and its decomposed form.
        #expect(throws: DomainError.self) { try self.parse("{\"\u{e9}\":1,\"e\u{301}\":2}") }
    }

    @Test("the depth is bounded, and the bound itself is allowed", arguments: [1, 4, 32])
    func depth(limit: Int) throws {
        func nested(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        }
        #expect(try self.parse(nested(limit + 1), depthLimit: limit).array != nil)
        #expect(throws: DomainError.self) { try self.parse(nested(limit + 2), depthLimit: limit) }
    }

    @Test("objects count to the depth as arrays do")
    func objectDepth() {
        let text = String(repeating: #"{"a":"#, count: 40) + "1" + String(repeating: "}", count: 40)
        #expect(throws: DomainError.self) { try self.parse(text) }
    }

    @Test("breadth is not bounded")
    func breadth() throws {
        let text = "[" + Array(repeating: "0", count: 10_000).joined(separator: ",") + "]"
        #expect(try self.parse(text).array?.count == 10_000)
    }
}
