import Domain
import Testing

@testable import API

@Suite("BodyReader")
struct BodyReaderTests {
    private static func reader(_ text: String) throws -> BodyReader {
        BodyReader(try JSONParser.document(Array(text.utf8)))
    }

    /// The code of what reading throws.
    private static func code(_ text: String, _ read: (inout BodyReader) throws -> Void) throws -> Problem.Code? {
        var reader = try Self.reader(text)
        return APITests.code { try read(&reader) }
    }

    @Test("a member is read by name and type")
    func members() throws {
        var reader = try Self.reader(#"{"a":"x","b":7,"c":{"d":1.50},"e":[1,{"f":2}]}"#)
        #expect(try reader.text("a") == "x")
        #expect(try reader.optionalInteger("b") == 7)
        #expect(try reader.object("c") == Array(#"{"d":1.50}"#.utf8), "as the client wrote it")
        #expect(try reader.list("e")?.count == 2)
        try reader.finish()
    }

    @Test("5.0 is an integer, as in JSON Schema, and 5.5 is not")
    func integers() throws {
        var reader = try Self.reader(#"{"a":5.0,"b":469918.0}"#)
        #expect(try reader.optionalInteger("a") == 5)
        #expect(try reader.optionalInteger("b") == 469_918)
        #expect(try Self.code(#"{"a":5.5}"#) { _ = try $0.optionalInteger("a") } == .invalid)
        #expect(try Self.code(#"{"a":1e300}"#) { _ = try $0.optionalInteger("a") } == .invalid)
    }

    @Test("an optional member that is absent is nil, a required one is a problem")
    func absent() throws {
        var reader = try Self.reader("{}")
        #expect(try reader.optionalText("a") == nil)
        #expect(try reader.optionalInteger("a") == nil)
        #expect(try reader.list("a") == nil)
        #expect(try Self.code("{}") { _ = try $0.text("a") } == .invalid)
        #expect(try Self.code("{}") { _ = try $0.object("a") } == .invalid)
    }

    @Test("a member of another type is a problem", arguments: ["1", "null", "true", "[]", "{}"])
    func types(value: String) throws {
        #expect(try Self.code(#"{"a":\#(value)}"#) { _ = try $0.text("a") } == .invalid)
    }

    @Test("a member that nothing read is refused by name")
    func unknown() throws {
        var reader = try Self.reader(#"{"a":"x","sudo":true}"#)
        _ = try reader.text("a")
        #expect(APITests.code { try reader.finish() } == .invalid)
    }
}

@Suite("MaskedParams")
struct MaskedParamsTests {
    private static func prefix(_ text: String) throws -> String {
        MaskedParams.prefix(of: try JSONParser.parse(Array(text.utf8)))
    }

    @Test("no value of a text or a number is in the prefix")
    func values() throws {
        let prefix = try Self.prefix(#"{"password":"hunter2hunter2","pin":123456,"list":["hunter2"]}"#)
        #expect(!prefix.contains("hunter2") && !prefix.contains("123456"))
        #expect(prefix.hasPrefix(#"{"password":"text 14""#))
    }

    @Test("the prefix has 64 characters at most, and half of what is shorter")
    func length() throws {
        let many = (0..<40).map { #""name\#($0)":1"# }.joined(separator: ",")
        #expect(try Self.prefix("{\(many)}").count == 64)
        #expect(try Self.prefix(#"{"a":true}"#) == #"{"a":"#)
    }

    @Test("a credential as a member's name is masked")
    func names() throws {
        #expect(try !Self.prefix(#"{"relay_sk_abcdefghijklmnop_secret":{"a":{"b":1}}}"#).contains("abcdef"))
    }
}

@Suite("Input")
struct InputTests {
    @Test("a name or an id that is a credential is refused without it")
    func credentials() throws {
        do {
            _ = try Input.action("relay_sk_abcdefghijklmnop_secret")
            Issue.record("it was accepted")
        } catch let error as InputError {
            #expect(!error.message.contains("abcdef"))
        }
    }

    @Test("a valid name passes, a malformed one is the client's error")
    func names() throws {
        #expect(try Input.action("shell.run").name == "shell.run")
        #expect(throws: InputError.self) { try Input.action("Shell Run") }
        #expect(throws: InputError.self) { try Input.job("x") }
        #expect(throws: InputError.self) { try Input.tag("") }
    }
}
