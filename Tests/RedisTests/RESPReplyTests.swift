import Domain
import Testing

@testable import Redis

@Suite("The RESP reply")
struct RESPReplyTests {
    @Test("an error reply is thrown as its typed error")
    func checked() throws {
        let failed = try reply("-WRONGTYPE no\r\n")
        let error = #expect(throws: RedisError.self) { try failed.checked() }
        #expect(error?.code == .server(kind: "WRONGTYPE"))
        #expect(try reply(":3\r\n").checked().integer == 3)
    }

    @Test("an error inside an array is not the error of the reply")
    func nestedError() throws {
        let array = try reply("*2\r\n-ERR no\r\n:1\r\n")
        #expect(array.error == nil)
        #expect(array.root.elements[0].kind == .error)
        #expect(String(decoding: array.root.elements[0].bytes, as: UTF8.self) == "ERR no")
    }

    @Test("the elements after a nested array are found")
    func nested() throws {
        let root = try value("*3\r\n*2\r\n:1\r\n*1\r\n:2\r\n$1\r\nx\r\n*0\r\n")
        #expect(root.elements.count == 3)
        #expect(root.elements[0].elements[1].elements[0].integer == 2)
        #expect(root.elements[1].string == "x")
        #expect(root.elements[2].elements.isEmpty && root.elements[2].kind == .array)
    }

    @Test("a null is neither text nor number nor array", arguments: ["$-1\r\n", "*-1\r\n"])
    func null(text: String) throws {
        let null = try value(text)
        #expect(null.isNull && null.string == nil && null.integer == nil)
        #expect(null.elements.isEmpty && null.bytes.isEmpty)
    }

    @Test("a string that is not UTF-8 has bytes and no text")
    func invalidText() throws {
        var command = "$2\r\n"
        command.append("é\r\n")
        #expect(try value(command).string == "é")
        let root = try value("*1\r\n:7\r\n")
        #expect(root.string == nil)
    }

    @Test("a string that is an integer reads as one", arguments: [("12", 12), ("-3", -3), ("x", nil), ("", nil)])
    func numbers(text: String, number: Int?) throws {
        #expect(try value("$\(text.utf8.count)\r\n\(text)\r\n").integer == number)
    }
}
