import Domain
import Testing

@Suite("JSONWriter")
struct JSONWriterTests {
    @Test("values are written compactly, members in their order")
    func compact() {
        let value: JSONValue = ["b": [1, nil, true, false], "a": ["x": "y"]]
        #expect(value.text == #"{"b":[1,null,true,false],"a":{"x":"y"}}"#)
    }

    @Test(
        "quotes, backslashes and control characters are escaped",
        arguments: [
            ("\"", #""\"""#), ("\\", #""\\""#), ("\n", #""\n""#), ("\r", #""\r""#), ("\t", #""\t""#),
            ("\u{0}", #""\u0000""#),
            ("\u{1b}", #""\u001b""#), ("\u{7f}", #""\u007f""#), ("\u{80}", #""\u0080""#), ("\u{9b}", #""\u009b""#),
            ("\u{9f}", #""\u009f""#),
        ])
    func escapes(text: String, expected: String) { #expect(JSONValue.string(text).text == expected) }

    @Test("other characters stand for themselves", arguments: ["é", "\u{a0}", "€", "😀", "/", "'", "<"])
    func plain(text: String) { #expect(JSONValue.string(text).text == "\"\(text)\"") }

    @Test("a text between others keeps all of its bytes")
    func mixed() throws {
        let text = "a\"b\u{9b}c\\d\u{7f}é\n\u{85}"
        #expect(try JSONParser.parse(JSONValue.string(text).bytes) == .string(text))
    }

    @Test("every scalar is read as it was written")
    func scalars() throws {
        let values = Array(0..<0x3000) + [0xd7ff, 0xe000, 0xffff, 0x10000, 0x10ffff]
        for value in values {
            guard let scalar = UnicodeScalar(UInt32(value)) else { continue }
            let text = String(Character(scalar))
            #expect(try JSONParser.parse(JSONValue.string(text).bytes) == .string(text))
        }
    }

    @Test("names of members are escaped as texts are")
    func names() throws {
        let value = JSONValue.object([JSONMember("a\n\"", 1)])
        #expect(try value.text == #"{"a\n\"":1}"# && (JSONParser.parse(value.bytes)) == value)
    }

    @Test("integers are exact", arguments: [Int64.min, -1, 0, 1, .max])
    func integers(number: Int64) { #expect(JSONValue.integer(number).text == "\(number)") }

    @Test("numbers are read as they were written", arguments: [0.1, -2.5, 1e300, .leastNonzeroMagnitude, 1.0 / 3])
    func numbers(number: Double) throws {
        #expect(try JSONParser.parse(JSONValue.number(number).bytes) == .number(number))
    }

    @Test("a number that JSON cannot say is null", arguments: [Double.nan, .infinity, -.infinity])
    func notFinite(number: Double) { #expect(JSONValue.number(number).text == "null") }

    @Test("a document is one line, whatever is in it")
    func oneLine() {
        let hostile = String(String.UnicodeScalarView((0..<0xa0).compactMap { UnicodeScalar($0) }))
        let value = JSONValue.object([JSONMember(hostile, .array([.string(hostile)]))])
        #expect(!value.bytes.contains { $0 < 0x20 || $0 == 0x7f })
    }
}

@Suite("JSONValue")
struct JSONValueTests {
    private static let values: [JSONValue] = [
        .null, .bool(true), .integer(1), .number(1.5), .string("x"), .array([]), .object([]),
    ]

    @Test("each value has the type that JSON Schema gives it")
    func types() {
        #expect(
            Self.values.map(\.typeName) == ["null", "boolean", "integer", "number", "string", "array", "object"])
    }

    @Test("a value is read as its own kind only")
    func accessors() {
        #expect(Self.values.map { $0.string != nil } == [false, false, false, false, true, false, false])
        #expect(Self.values.map { $0.integer != nil } == [false, false, true, false, false, false, false])
        #expect(Self.values.map { $0.bool != nil } == [false, true, false, false, false, false, false])
        #expect(Self.values.map { $0.array != nil } == [false, false, false, false, false, true, false])
        #expect(Self.values.map { $0.members != nil } == [false, false, false, false, false, false, true])
    }

    @Test("a member is found by its exact name")
    func subscripts() {
        let value: JSONValue = ["a": 1, "b": nil]
        #expect(value["a"] == 1 && value["b"] == .null && value["c"] == nil && value["A"] == nil)
        #expect(JSONValue.array([1])["a"] == nil)
    }
}
